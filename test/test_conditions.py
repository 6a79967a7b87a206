"""Conditions and their names, there and back."""

import pytest

from trnet.conditions import CLEAN, Condition, condition_named
from trnet.utils.errors import TrnetError


@pytest.mark.parametrize(
    "condition", [CLEAN, Condition("esc", 10.0), Condition("hum2", -2.5)], ids=lambda condition: condition.name
)
def test_a_name_leads_back_to_its_condition(condition):
    assert condition_named(condition.name) == condition


@pytest.mark.parametrize(
    "name", ["", "esc", "esc_db", "esc_10", "esc_10dB", "_10db", "esc_nandb", "clean speech", "a_b_1db"]
)
def test_other_texts_are_no_condition(name):
    with pytest.raises(TrnetError, match="no condition"):
        condition_named(name)
