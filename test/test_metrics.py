"""UAR and WAR against values computed by hand."""

import pytest

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
