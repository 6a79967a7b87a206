"""The two metrics of the paper (UAR, WAR), and the mean and deviation of repeated runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from trnet.utils.errors import TrnetError


def _check(labels: Sequence[str], preds: Sequence[str]) -> None:
    if len(labels) != len(preds):
        what = f"{len(labels)} labels but {len(preds)} predictions to score"
        raise TrnetError(f"{what}: give one prediction per label")
    if not len(labels):
        raise TrnetError("no utterances to score: give at least one label and its prediction")


def uar(labels: Sequence[str], preds: Sequence[str]) -> float:
    """Unweighted average recall in percent: the mean recall of the classes in ``labels``.

    A class that is only predicted has no recall and does not enter the mean.
    Raises TrnetError when the two lists are empty or differ in length.
    """
    from sklearn.metrics import recall_score  # here, because it takes seconds to import

    _check(labels, preds)
    present = sorted(set(labels))
    return 100.0 * float(recall_score(labels, preds, labels=present, average="macro"))


def war(labels: Sequence[str], preds: Sequence[str]) -> float:
    """Weighted average recall in percent, which is the accuracy.

    Raises TrnetError when the two lists are empty or differ in length.
    """
    from sklearn.metrics import accuracy_score

    _check(labels, preds)
    return 100.0 * float(accuracy_score(labels, preds))


def mean_std(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (ddof=1), in the unit of ``values``.

    The deviation of fewer than two values is None. Raises TrnetError when there are none.
    """
    array = np.asarray(list(values), dtype=np.float64)
    if not array.size:
        raise TrnetError("no values to average: give at least one")
    return float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else None
