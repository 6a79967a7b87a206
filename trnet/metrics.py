"""The two metrics of the paper: UAR and WAR."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trnet.utils.errors import TrnetError

Classes = Sequence[Any] | np.ndarray  # classes by name or number, one an utterance


def _arrays(labels: Classes, preds: Classes) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays (utterances,); TrnetError if there are none or their numbers differ."""
    if len(labels) != len(preds):
        raise TrnetError(f"{len(labels)} labels but {len(preds)} predictions: give one prediction per label")
    if not len(labels):
        raise TrnetError("no utterances to score: give at least one label and its prediction")
    return np.asarray(labels), np.asarray(preds)


def uar(labels: Classes, preds: Classes) -> float:
    """Unweighted average recall in percent: the mean recall of the classes in `labels`.

    A class that is only predicted has no recall and does not enter the mean. It is `balanced_accuracy_score` of
    scikit-learn, which takes more than a second to import.

    Raises:
        TrnetError: If the two lists are empty or differ in length.
    """
    given, found = _arrays(labels, preds)
    classes, numbers = np.unique(given, return_inverse=True)
    hits = np.bincount(numbers[given == found], minlength=len(classes))
    return 100.0 * float(np.mean(hits / np.bincount(numbers)))


def war(labels: Classes, preds: Classes) -> float:
    """Weighted average recall in percent, which is the accuracy.

    Raises:
        TrnetError: For empty lists or other lengths.
    """
    given, found = _arrays(labels, preds)
    return 100.0 * float(np.mean(given == found))
