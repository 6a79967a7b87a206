"""Features of a corpus under its conditions, and batches of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import kaldiio
import numpy as np
import torch
from torch import Tensor

from trnet.conditions import CLEAN, Condition
from trnet.errors import TrnetError
from trnet.kaldi.data_dir import read_table
from trnet.noise.assign import rng_for

Item = tuple[str, Condition]  # clean utterance id, condition


class Archives:
    """The dumped features of one corpus: unprocessed under ``<dump>/raw``, enhanced under ``<dump>/<frontend>``."""

    def __init__(self, dump: Path, frontend: str, corpus: str) -> None:
        self.dump, self.frontend, self.corpus = Path(dump), frontend, corpus
        self._scp: dict[Path, Mapping[str, np.ndarray]] = {}

    def folder(self, kind: str, condition: Condition) -> Path:
        """Where the features of a kind (noisy or enhanced) and condition lie."""
        return self.dump / ("raw" if kind == "noisy" else self.frontend) / condition.data_name(self.corpus)

    def matrix(self, kind: str, utt: str, condition: Condition) -> np.ndarray:
        """Features (frames, mels) float32 of a clean utterance id under a condition.

        Raises: TrnetError if they were not dumped, or the archive is damaged.
        """
        folder = self.folder(kind, condition)
        if folder not in self._scp:
            scp = folder / "feats.scp"
            if not scp.is_file():
                raise TrnetError(f"{scp}: no such file; run stages 2 to 4 for this condition and front-end")
            self._scp[folder] = kaldiio.load_scp(str(scp))
        key = condition.utt(utt)
        try:
            return self._scp[folder][key]
        except KeyError:
            raise TrnetError(f"{folder}/feats.scp: no features of {key}; run stage 4 again") from None
        except (OSError, ValueError, AssertionError, RuntimeError) as error:
            raise TrnetError(f"{folder}/feats.ark: cannot read {key} ({error}); run stage 4 again") from None

    def lengths(self, condition: Condition) -> dict[str, int]:
        """Frames of each utterance, by its id under the condition."""
        table = read_table(self.folder("noisy", condition) / "utt2num_frames")
        return {utt: int(count) for utt, count in table.items()}


@dataclass(frozen=True)
class Batch:
    """Utterances under their conditions, padded with zeros to the longest.

    items: B of (utterance, condition). lengths: (B,) frames. labels: (B,) class indices. noisy, enhanced, clean:
    (B, T, F) float32 or None where not asked for; clean is X_s, the target. h_s: (B, D) or None.
    """

    items: tuple[Item, ...]
    lengths: Tensor
    labels: Tensor
    noisy: Tensor | None = None
    enhanced: Tensor | None = None
    clean: Tensor | None = None
    h_s: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if isinstance(v, Tensor)})


def pad(matrices: Sequence[np.ndarray]) -> Tensor:
    """Matrices (t_i, F) -> (B, max t_i, F), zeros behind the end."""
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(m.copy()) for m in matrices], batch_first=True)


class BatchReader:
    """Reads batches of the kinds that a system needs."""

    def __init__(
        self,
        archives: Archives,
        labels: Mapping[str, int],
        kinds: Sequence[str],
        h_s: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.archives, self.labels, self.kinds, self.h_s = archives, labels, tuple(kinds), h_s

    def read(self, items: Sequence[Item]) -> Batch:
        """Read one batch.

        Raises: TrnetError if features are missing or a pair of them differs in length.
        """
        stacks: dict[str, Tensor] = {}
        lengths: list[int] | None = None
        for kind in self.kinds:
            conditions = [CLEAN if kind == "clean" else condition for _, condition in items]
            source = "noisy" if kind == "clean" else kind
            matrices = [self.archives.matrix(source, u, c) for (u, _), c in zip(items, conditions, strict=True)]
            own = [len(m) for m in matrices]
            if lengths is not None and own != lengths:
                worst = next(i for i, pair in enumerate(zip(own, lengths, strict=True)) if pair[0] != pair[1])
                raise TrnetError(
                    f"{items[worst][0]}: {own[worst]} {kind} frames for {lengths[worst]} {self.kinds[0]} ones; "
                    "run stages 2 to 4 again"
                )
            lengths = own
            stacks[kind] = pad(matrices)
        h_s = None if self.h_s is None else torch.stack([self.h_s[utt] for utt, _ in items])
        return Batch(
            tuple(items),
            torch.tensor(lengths),
            torch.tensor([self.labels[utt] for utt, _ in items]),
            h_s=h_s,
            **stacks,
        )


def draw_conditions(utts: Sequence[str], conditions: Sequence[Condition], how: str, *key: object) -> list[Item]:
    """Items of one epoch: each utterance under one condition drawn by `key`, or (``how="all"``) under every one."""
    if how == "all":
        return [(utt, condition) for utt in utts for condition in conditions]
    drawn = rng_for(*key, "conditions").integers(0, len(conditions), len(utts))
    return [(utt, conditions[i]) for utt, i in zip(utts, drawn, strict=True)]


def training_batches(
    items: list[Item], length: Mapping[str, int], batch_size: int, bucketing: int, *key: object
) -> Iterator[list[Item]]:
    """Items in random batches: shuffled, pools of `bucketing` batches sorted by length, batches shuffled.

    The last batch of one item is left out (BatchNorm cannot take it).
    """
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
