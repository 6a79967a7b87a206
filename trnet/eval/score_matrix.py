"""What one system predicted right, as an array: utterances x seeds x conditions, each utterance with its speaker."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from trnet.eval.predictions import in_order, natural_key, with_conditions
from trnet.utils.errors import TrnetError


@dataclass(frozen=True)
class ScoreMatrix:
    """The predictions of one system for the same U utterances with every seed under every condition.

    items: (fold, utt_id) of the utterances. labels: (U,) class indices. speakers: (U,) indices into names.
    conditions: a row a condition, with the columns noise, snr_db and condition (its text).
    right: (U, seeds, conditions) bool.
    """

    items: pd.MultiIndex
    labels: np.ndarray
    speakers: np.ndarray
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    conditions: pd.DataFrame
    right: np.ndarray

    def share_right(self, targets: Iterable[Sequence[int]]) -> np.ndarray:
        """Share of right predictions (U, seeds, K), averaged over each of K lists of conditions."""
        return np.stack([self.right[:, :, columns].mean(axis=2) for columns in targets], axis=2)

    def under(self, conditions: Collection[str]) -> "ScoreMatrix":
        """The same under those of its conditions that are named."""
        kept = self.conditions["condition"].isin(list(conditions)).to_numpy()
        return replace(self, conditions=self.conditions[kept].reset_index(drop=True), right=self.right[:, :, kept])


def make_score_matrix(
    predictions: pd.DataFrame, classes: Sequence[str], speakers: Mapping[str, str] | None
) -> ScoreMatrix:
    """The matrix of one system; without `speakers` a fold is one. TrnetError if a seed or condition lacks some."""
    rows = with_conditions(predictions)
    rows = rows.assign(right=rows["pred"] == rows["label"])
    items = in_order(rows.drop_duplicates(["fold", "utt_id"]), ["fold", "utt_id"])
    index = pd.MultiIndex.from_frame(items[["fold", "utt_id"]])
    seeds = sorted(rows["seed"].unique())
    conditions = in_order(rows.drop_duplicates("condition")[["noise", "snr_db", "condition"]], ["noise", "snr_db"])
    wide = rows.pivot(index=["fold", "utt_id"], columns=["seed", "condition"], values="right")
    wide = wide.reindex(index=index, columns=pd.MultiIndex.from_product([seeds, conditions["condition"]]))
    absent = wide.isna().to_numpy()  # (U, seeds x conditions)
    for column in np.flatnonzero(absent.any(axis=0)):
        seed, condition = seeds[column // len(conditions)], conditions["condition"].iloc[column % len(conditions)]
        what = f"seed {seed}, {condition} lacks {describe(index[absent[:, column]])}"
        raise TrnetError(f"{what} that other seeds or conditions have; train and score the same runs")
    spoken = items["fold"] if speakers is None else items["utt_id"].map(speakers)
    if spoken.isna().any():
        raise TrnetError(f"{items['utt_id'][spoken.isna()].min()} has no speaker in utt2spk; mend it")
    names = sorted(set(spoken), key=natural_key)
    return ScoreMatrix(
        items=index,
        labels=np.array([classes.index(label) for label in items["label"]]),
        speakers=np.array([names.index(name) for name in spoken]),
        names=tuple(names),
        seeds=tuple(int(seed) for seed in seeds),
        conditions=conditions,
        right=wide.to_numpy(dtype=bool).reshape(len(index), len(seeds), len(conditions)),
    )


def describe(items: pd.MultiIndex) -> str:
    """``fold 2 (40 utterances)``, or the utterance where it is one."""
    folds: dict[str, list[str]] = {}
    for fold, utt in sorted(items, key=lambda item: natural_key(item[0])):
        folds.setdefault(fold, []).append(utt)
    parts = [f"fold {f} ({u[0] if len(u) == 1 else f'{len(u)} utterances'})" for f, u in folds.items()]
    return ", ".join(parts[:4]) + (f" and {len(parts) - 4} more folds" if len(parts) > 4 else "")


def check_paired(one: ScoreMatrix, other: ScoreMatrix, same_seeds: bool = True) -> None:
    """TrnetError unless two systems were scored on the same utterances, seeds and conditions, saying which."""
    lacks = []
    for who, mine, theirs in (("the first", one, other), ("the second", other, one)):
        if len(items := theirs.items.difference(mine.items)):
            lacks.append(f"{who} lacks {describe(items)}")
        elif same_seeds and (seeds := sorted(set(theirs.seeds) - set(mine.seeds))):
            lacks.append(f"{who} lacks seed {' '.join(map(str, seeds))}")
        elif conditions := [c for c in theirs.conditions["condition"] if c not in set(mine.conditions["condition"])]:
            lacks.append(f"{who} lacks {', '.join(conditions)}")
    if lacks:
        raise TrnetError(f"{'; '.join(lacks)}; score both on the same runs")
    if not np.array_equal(one.speakers, other.speakers) or not np.array_equal(one.labels, other.labels):
        raise TrnetError("the speakers or labels of the two systems differ; score both on the same data dir")
