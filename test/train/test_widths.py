"""The few widths of batches where shapes are static."""

import itertools

import pytest

from trnet.train.batches import STEP
from trnet.train.widths import WIDTHS, batch_widths, width_for

LENGTH = {f"u{i:03}": 30 + (37 * i) % 401 for i in range(320)}


@pytest.mark.parametrize("bucketing", [1, 8])
@pytest.mark.parametrize("batch_size", [8, 32])
def test_widths_are_few_ascending_and_fit_everything(batch_size, bucketing):
    widths = batch_widths(LENGTH, batch_size, bucketing)
    assert 1 <= len(widths) <= WIDTHS == 3 and widths == sorted(set(widths))
    assert all(width % STEP == 0 for width in widths) and widths[-1] - STEP < max(LENGTH.values()) <= widths[-1]


def test_an_outlier_that_no_batch_of_the_trial_has_fits_too():
    """One of three in batches of two is left out; whichever it is, the next epoch may have it."""
    for place in range(3):
        lengths = [40, 40, 40]
        lengths[place] = 900
        assert batch_widths({f"u{i}": n for i, n in enumerate(lengths)}, 2, 8)[-1] == 912


def test_no_other_widths_waste_less():
    """Pairs of one length, sorted, are batches that each go up to the next width; against all choices of widths."""
    frames = [16 * n for n in (1, 2, 5, 6, 9, 9, 9, 14, 15)]
    length = {f"u{i}{pair}": n for i, n in enumerate(frames) for pair in "ab"}

    def waste(widths):
        return sum(width_for(widths, each) - each for each in length.values())

    found = batch_widths(length, 2, len(length))
    choices = itertools.combinations(sorted(set(length.values())), WIDTHS)
    assert waste(found) == min(waste(each) for each in choices if each[-1] == max(length.values()))
