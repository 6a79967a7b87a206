"""UAR and WAR against values computed by hand and by scikit-learn."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from trnet.metrics import uar, war
from trnet.utils.errors import TrnetError


def test_uar_and_war_by_hand():
    # ang 3 of 4, hap 1 of 2, neu 1 of 1: (0.75 + 0.5 + 1) / 3 and 5 of 7
    labels = ["ang"] * 4 + ["hap"] * 2 + ["neu"]
    preds = ["ang", "ang", "ang", "hap", "hap", "neu", "neu"]
    assert uar(labels, preds) == pytest.approx(75.0)
    assert war(labels, preds) == pytest.approx(500 / 7)


def test_class_that_is_only_predicted_has_no_recall():
    assert uar(["ang", "ang"], ["ang", "sad"]) == pytest.approx(50.0)


def test_class_that_is_never_predicted_counts_as_zero():
    assert uar(["ang", "ang", "ang", "sad"], ["ang"] * 4) == pytest.approx(50.0)
    assert war(["ang", "ang", "ang", "sad"], ["ang"] * 4) == pytest.approx(75.0)


@pytest.mark.parametrize("metric", [uar, war])
@pytest.mark.parametrize(("labels", "preds"), [([], []), (["ang"], ["ang", "sad"])])
def test_empty_or_unequal_lists(metric, labels, preds):
    with pytest.raises(TrnetError):
        metric(labels, preds)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
@pytest.mark.parametrize("classes", [["ang", "hap", "neu", "sad", "surprised"], [0, 1, 2, 3]])
def test_they_are_those_of_scikit_learn_to_the_bit(kind, classes):
    drawn = np.random.default_rng(0)
    for size in (1, 7, 100, 1000):
        labels, preds = (kind([classes[i] for i in drawn.integers(len(classes), size=size)]) for _ in range(2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about classes that are only predicted
            wanted = 100 * balanced_accuracy_score(labels, preds), 100 * accuracy_score(labels, preds)
        assert (uar(labels, preds), war(labels, preds)) == wanted
