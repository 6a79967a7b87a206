"""Segments of pairs of noisy and clean speech; which ones an epoch hears is a function of seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trnet.audio.crop import read_clip
from trnet.audio.reading import read_audio
from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.paths import resolve
from trnet.utils.errors import TrnetError
from trnet.utils.random import rng_for

RATE = 16000  # Hz


class Pair(NamedTuple):
    """One utterance, noisy and clean, (samples,) float32 each at 16 kHz."""

    noisy: np.ndarray
    clean: np.ndarray


class Pairs:
    """The pairs of a data directory: wav.scp is noisy, clean.scp its clean partner."""

    def __init__(self, data: DataDir) -> None:
        self.data = data
        self.utts = data.utts

    def read(self, utt: str) -> Pair:
        """Both signals, resampled where they have another rate.

        Raises: TrnetError for audio that cannot be read, or a pair of unequal lengths.
        """
        noisy = read_clip(self.data.clip(utt), RATE)
        try:
            clean = read_audio(resolve(self.data["clean.scp"][utt], self.data.path / "clean.scp"), RATE)
        except KeyError:
            raise TrnetError(f"{self.data.path}/clean.scp: no partner of {utt}; prepare the data anew") from None
        if len(noisy) != len(clean):
            raise TrnetError(f"{self.data.path}: {utt} has {len(noisy)} noisy samples for {len(clean)} clean ones")
        return Pair(noisy, clean)


def segment_of(pair: Pair, samples: int, place: float) -> Pair:
    """A segment of so many samples; shorter speech is repeated, as CMGAN's authors do.

    Args:
        pair: both signals.
        samples: length of the segment.
        place: where it lies, in [0, 1): 0 is the earliest, towards 1 the latest start.
    """
    start = int(place * (len(pair.clean) - samples + 1)) if len(pair.clean) > samples else 0
    return Pair(*(np.resize(wav[start : start + samples], samples) for wav in pair))  # np.resize repeats


def drawn(utts: Sequence[str], count: int, *key: object) -> list[str]:
    """`count` of the utterances (0: all) in their order; which ones depends on them and `key` alone."""
    chosen = rng_for(*key).permutation(len(utts))[: count or None]
    return [utts[i] for i in sorted(chosen)]


class _Segments(Dataset):
    """Segments by their place in the order of an epoch."""

    def __init__(self, pairs: Pairs, samples: int, order: Sequence[tuple[str, float]]) -> None:
        self.pairs, self.samples, self.order = pairs, samples, order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Pair:
        utt, place = self.order[index]
        return segment_of(self.pairs.read(utt), self.samples, place)


def _stack(pairs: list[Pair]) -> tuple[Tensor, Tensor]:
    """Segments of one length to (batch, samples) noisy and clean."""
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))


def epoch_order(utts: Sequence[str], count: int, *key: object) -> list[tuple[str, float]]:
    """Utterances of one epoch in random order, `count` of them (0: all), each with the place of its segment."""
    rng = rng_for(*key, "segments")
    order = rng.permutation(len(utts))[: count or None]
    return list(zip([utts[i] for i in order], rng.random(len(order)).tolist(), strict=True))


def epoch_batches(
    pairs: Pairs, samples: int, batch_size: int, count: int, workers: int, *key: object
) -> tuple[list[list[str]], Iterator[tuple[Tensor, Tensor]]]:
    """Batches of one epoch, read ahead by so many processes (0: none); they do not depend on `workers`.

    What does not fill a batch at the end is left out, unless it is all there is.

    Returns:
        The utterances of each, and noisy and clean segments, (batch, samples) float32 each.
    """
    order = epoch_order(pairs.utts, count, *key)
    whole = len(order) // batch_size * batch_size
    segments = _Segments(pairs, samples, order[: whole or None])
    loader = DataLoader(
        segments,
        batch_size,
        num_workers=workers,
        collate_fn=_stack,
        multiprocessing_context="spawn" if workers else None,
    )
    utts = [utt for utt, _ in segments.order]
    return [utts[start : start + batch_size] for start in range(0, len(utts), batch_size)], iter(loader)
