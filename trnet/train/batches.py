"""Which items an epoch has, in which batches, and who makes the batches."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trnet.conditions import CLEAN, Condition
from trnet.features.cache import FeatureCache, Item
from trnet.model.batch import Batch, HiddenStates
from trnet.utils.random import rng_for

BOTH = ("noisy", "enhanced")
STEP = 16  # batches have a multiple of so many frames: oneDNN compiles kernels for each shape, and finds them again


@dataclass(frozen=True)
class Waves:
    """Waveforms, for systems that mix them, and what makes features of their mixture."""

    cache: FeatureCache  # (samples, 1)
    hidden_states: HiddenStates


class BatchReader:
    """Makes batches of the kinds of features that a system and its losses read."""

    def __init__(
        self,
        cache: FeatureCache,
        labels: Mapping[str, int],
        kinds: Sequence[str],
        target: str | None = None,
        h_s: Mapping[str, Tensor] | None = None,
        tokens: Mapping[str, Tensor] | None = None,
        gate: FeatureCache | None = None,
        snr: bool = False,
        waves: Waves | None = None,
    ) -> None:
        """Take what batches are made of.

        Args:
            labels: Class index of each utterance.
            kinds: Of `noisy` and `enhanced`.
            target: The kind that X_s is of clean speech, where it is wanted.
            h_s: (D,) of the teacher by utterance.
            tokens: (n,) of the transcripts by utterance; an utterance without has none.
            gate: Log-mels that the gate reads, where the features are others.
            snr: Whether batches have SNRs.
            waves: Noisy and enhanced waveforms, where the system mixes these: `kinds` are those of its losses then.
        """
        self.cache, self.labels, self.kinds, self.target = cache, labels, tuple(kinds), target
        self.h_s, self.tokens, self.gate, self.snr, self.waves = h_s, tokens, gate, snr, waves

    def read(self, items: Sequence[Item]) -> Batch:
        """One batch, on the cache's device.

        Raises:
            TrnetError: If features are missing, or of a wrong length.
        """
        stacks: dict[str, Tensor] = {kind: self._stack(self.cache, kind, items) for kind in self.kinds}
        if self.target is not None:
            stacks["clean"] = self._stack(self.cache, self.target, [(utt, CLEAN) for utt, _ in items])
        if self.gate is not None:
            kinds = self.kinds if self.waves is None else BOTH
            stacks |= {f"{kind}_mels": self._stack(self.gate, kind, items) for kind in kinds}
            stacks["mel_lengths"] = torch.tensor([self.gate.length[utt] for utt, _ in items])
        if self.waves is not None:
            stacks |= {f"{kind}_wav": self.waves.cache.stack(kind, items)[..., 0] for kind in BOTH}
            stacks["wav_lengths"] = torch.tensor([self.waves.cache.length[utt] for utt, _ in items])
        batch = Batch(
            tuple(items),
            torch.tensor([self.cache.length[utt] for utt, _ in items]),
            torch.tensor([self.labels[utt] for utt, _ in items]),
            h_s=None if self.h_s is None else torch.stack([self.h_s[utt] for utt, _ in items]),
            snr=snrs_of([condition for _, condition in items]) if self.snr else None,
            text=None if self.tokens is None else tuple(self.tokens.get(utt) for utt, _ in items),
            hidden_states=None if self.waves is None else self.waves.hidden_states,
            **stacks,
        )
        return batch.to(self.cache.device)

    def _stack(self, cache: FeatureCache, kind: str, items: Sequence[Item]) -> Tensor:
        """Features (B, T, F), T a multiple of `STEP`, unless a mixture of waveforms says how many frames there are."""
        x = cache.stack(kind, items)
        return x if self.waves is not None else functional.pad(x, (0, 0, 0, rounded(x.shape[1]) - x.shape[1]))


def rounded(frames: int) -> int:
    """So many frames up to a multiple of `STEP`."""
    return -(-frames // STEP) * STEP


def snrs_of(conditions: Sequence[Condition]) -> Tensor:
    """The SNR of each condition in dB (n,), infinite for clean speech."""
    return torch.tensor([math.inf if each.snr_db is None else float(each.snr_db) for each in conditions])


def draw_conditions(utts: Sequence[str], conditions: Sequence[Condition], how: str, *key: object) -> list[Item]:
    """Items of one epoch: each utterance under one condition drawn by `key`, or (``how="all"``) under every one."""
    if how == "all":
        return [(utt, condition) for utt in utts for condition in conditions]
    drawn = rng_for(*key, "conditions").integers(0, len(conditions), len(utts))
    return [(utt, conditions[i]) for utt, i in zip(utts, drawn, strict=True)]


def training_batches(
    items: list[Item], length: Mapping[str, int], batch_size: int, bucketing: int, *key: object
) -> Iterator[list[Item]]:
    """Random batches, `bucketing` of them sorted by length at a time; no last batch of one (BatchNorm needs two)."""
    rng = rng_for(*key, "batches")
    shuffled = [items[i] for i in rng.permutation(len(items))]
    pool = max(1, bucketing) * batch_size
    if bucketing > 1:
        shuffled = [
            item
            for start in range(0, len(shuffled), pool)
            for item in sorted(shuffled[start : start + pool], key=lambda item: length[item[0]])
        ]
    batches = [shuffled[start : start + batch_size] for start in range(0, len(shuffled), batch_size)]
    batches = [batch for batch in batches if len(batch) > 1]
    for i in rng.permutation(len(batches)):
        yield batches[i]


def scoring_batches(items: Sequence[Item], length: Mapping[str, int], batch_size: int) -> Iterator[list[Item]]:
    """Every item once, sorted by length, so that little is padded."""
    ordered = sorted(items, key=lambda item: (length[item[0]], item[0], item[1].name))
    for start in range(0, len(ordered), batch_size):
        yield ordered[start : start + batch_size]
