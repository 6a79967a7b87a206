"""The two metrics of the paper (UAR, WAR), by scikit-learn."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from trnet.utils.errors import TrnetError

Classes = Sequence[Any] | np.ndarray  # classes by name or number, one an utterance


def _check(labels: Classes, preds: Classes) -> None:
    if len(labels) != len(preds):
        raise TrnetError(f"{len(labels)} labels but {len(preds)} predictions: give one prediction per label")
    if not len(labels):
        raise TrnetError("no utterances to score: give at least one label and its prediction")


def uar(labels: Classes, preds: Classes) -> float:
    """Unweighted average recall in percent: the mean recall of the classes in `labels`.

    A class that is only predicted has no recall and does not enter the mean.

    Raises:
        TrnetError: If the two lists are empty or differ in length.
    """
    from sklearn.metrics import balanced_accuracy_score  # here, because it takes seconds to import

    _check(labels, preds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about classes that are only predicted
        return 100.0 * float(balanced_accuracy_score(labels, preds))


def war(labels: Classes, preds: Classes) -> float:
    """Weighted average recall in percent, which is the accuracy.

    Raises:
        TrnetError: For empty lists or other lengths.
    """
    from sklearn.metrics import accuracy_score

    _check(labels, preds)
    return 100.0 * float(accuracy_score(labels, preds))
