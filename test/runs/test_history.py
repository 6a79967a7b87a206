"""Which epoch of a history is chosen, and where a run ends."""

import math

import pytest

from trnet.runs.history import Rule, as_csv, best_epoch


def rows(*uars):
    return [{"epoch": i, "valid_uar": uar, "loss": -i} for i, uar in enumerate(uars, 1)]


@pytest.mark.parametrize(
    ("uars", "best"),
    [
        ([], 0),
        ([30], 1),
        ([30, 40, 40, 35], 2),
        ([50, 50, 50], 1),
        ([10, 20, 30], 3),
        ([math.nan, 20, math.nan], 2),
        ([math.nan, math.nan], 1),
    ],
)
def test_the_first_epoch_of_the_largest_validation_uar_is_chosen(uars, best):
    assert best_epoch(rows(*uars)) == best == Rule("valid_uar", 9).best(rows(*uars))


def test_training_ends_at_max_epochs_or_when_patience_is_at_its_end():
    history = rows(30, 40, 40, 39)
    assert Rule("valid_uar", 4).is_finished(history)
    assert not Rule("valid_uar", 5).is_finished(history)
    assert Rule("valid_uar", 9, 2).is_finished(history)  # two epochs after epoch 2
    assert not Rule("valid_uar", 9, 3).is_finished(history)
    assert not Rule("valid_uar", 9, 1).is_finished([])


@pytest.mark.parametrize(("rule", "ends"), [((4, 0), True), ((3, 0), False), ((9, 2), True), ((9, 1), False)])
def test_a_run_of_more_epochs_does_not_stand_for_one_of_fewer(rule, ends):
    rule = Rule("valid_uar", *rule)
    history = rows(30, 40, 40, 39)
    assert rule.ends_at(history) == ends and rule.goes_too_far(history) == (not ends)


def test_a_table_has_its_columns_first_then_those_of_the_rows():
    table = as_csv([{"epoch": 1, "mine": 0.5}, {"epoch": 2, "valid_uar": 40.0}], ("epoch", "valid_uar"))
    assert table.splitlines() == ["epoch,valid_uar,mine", "1,0.0,0.5", "2,40.0,0.0"]
