"""What one system got right, as an array: utterances x seeds x conditions, each utterance with its test speaker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trnet.eval.predictions import Prediction, natural_key, noise_key, snr_text
from trnet.utils.errors import TrnetError

Condition = tuple[str, float | None]  # noise set, SNR in dB (None: clean speech)
Key = tuple[str, str]  # fold, utterance


def condition_text(condition: Condition) -> str:
    """``clean`` or e.g. ``esc 5 dB``."""
    noise, snr = condition
    return noise if snr is None else f"{noise} {snr_text(snr)} dB"


@dataclass(frozen=True)
class Grid:
    """The answers of one system to the same utterances with every seed under every condition.

    keys: (fold, utterance) of U utterances. labels: (U,) class indices. speakers: (U,) indices into names.
    right: (U, seeds, conditions) bool.
    """

    keys: tuple[Key, ...]
    labels: np.ndarray
    speakers: np.ndarray
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    conditions: tuple[Condition, ...]
    right: np.ndarray

    @property
    def noises(self) -> list[str]:
        """The noise sets, clean speech first."""
        return sorted({noise for noise, _ in self.conditions}, key=noise_key)

    def share_right(self, wanted: Iterable[Iterable[Condition]]) -> np.ndarray:
        """Share of right answers (U, K), averaged over the seeds and over each of K lists of conditions."""
        columns = [[self.conditions.index(condition) for condition in some] for some in wanted]
        return np.stack([self.right[:, :, some].mean(axis=(1, 2)) for some in columns], axis=1)

    @cached_property
    def classes(self) -> int:
        """One more than the largest class index."""
        return int(self.labels.max()) + 1


def make_grid(rows: Iterable[Prediction], classes: tuple[str, ...], speakers: Mapping[str, str] | None) -> Grid:
    """Arrange the rows of one system; without `speakers` a fold is taken for one speaker.

    Raises: TrnetError if a seed or condition lacks utterances that another one has, or an utterance has no speaker.
    """
    found: dict[tuple[int, Condition], dict[Key, bool]] = {}
    label: dict[Key, int] = {}
    for row in rows:
        key = (row.fold, row.utt_id)
        found.setdefault((row.seed, (row.noise, row.snr_db)), {})[key] = row.pred == row.label
        label[key] = classes.index(row.label)
    keys = sorted(label, key=lambda key: (natural_key(key[0]), key[1]))
    seeds = sorted({seed for seed, _ in found})
    conditions = sorted({c for _, c in found}, key=lambda c: (noise_key(c[0]), c[1] is not None, c[1] or 0.0))
    for seed in seeds:
        for condition in conditions:
            absent = [key for key in keys if key not in found.get((seed, condition), {})]
            if absent:
                what = f"seed {seed}, {condition_text(condition)} lacks {describe(absent)}"
                raise TrnetError(f"{what} that other seeds or conditions have; train and score the same runs")
    if speakers is not None and (unknown := sorted({utt for _, utt in keys if utt not in speakers})):
        raise TrnetError(f"{unknown[0]} has no speaker in utt2spk; mend it")
    spoken = [fold if speakers is None else speakers[utt] for fold, utt in keys]
    names = sorted(set(spoken), key=natural_key)
    right = np.zeros((len(keys), len(seeds), len(conditions)), dtype=bool)
    for i, seed in enumerate(seeds):
        for j, condition in enumerate(conditions):
            answers = found[seed, condition]
            right[:, i, j] = [answers[key] for key in keys]
    return Grid(
        keys=tuple(keys),
        labels=np.array([label[key] for key in keys]),
        speakers=np.array([names.index(name) for name in spoken]),
        names=tuple(names),
        seeds=tuple(seeds),
        conditions=tuple(conditions),
        right=right,
    )


def describe(keys: Iterable[Key]) -> str:
    """``fold 2 (40 utterances)``, or the utterance where it is one."""
    folds: dict[str, list[str]] = {}
    for fold, utt in keys:
        folds.setdefault(fold, []).append(utt)
    parts = [
        f"fold {fold} ({utts[0] if len(utts) == 1 else f'{len(utts)} utterances'})"
        for fold, utts in sorted(folds.items(), key=lambda item: natural_key(item[0]))
    ]
    return ", ".join(parts[:4]) + (f" and {len(parts) - 4} more folds" if len(parts) > 4 else "")


def check_paired(one: Grid, other: Grid) -> None:
    """Whether two systems answered the same utterances, with the same seeds, under the same conditions.

    Raises: TrnetError naming what either of them lacks.
    """
    lacks = []
    for who, mine, theirs in (("the first", one, other), ("the second", other, one)):
        if keys := sorted(set(theirs.keys) - set(mine.keys)):
            lacks.append(f"{who} lacks {describe(keys)}")
        elif seeds := sorted(set(theirs.seeds) - set(mine.seeds)):
            lacks.append(f"{who} lacks seed {' '.join(map(str, seeds))}")
        elif conditions := [c for c in theirs.conditions if c not in mine.conditions]:
            lacks.append(f"{who} lacks {', '.join(map(condition_text, conditions))}")
    if lacks:
        raise TrnetError(f"{'; '.join(lacks)}; score both on the same runs")
    if not np.array_equal(one.speakers, other.speakers) or not np.array_equal(one.labels, other.labels):
        raise TrnetError("the speakers or labels of the two systems differ; score both on the same data dir")
