"""The temperature that minimises the NLL, and the calibration error by its definition."""

import numpy as np
import pandas as pd
import pytest
from near import assert_near

from trnet.eval.calibration import (
    LIMITS,
    error_of_predictions,
    expected_calibration_error,
    fit_temperature,
    nll,
    scaled,
)
from trnet.eval.predictions import make_predictions


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 2, (4000, 4))


@pytest.fixture(scope="module")
def labels(logits) -> np.ndarray:
    """Drawn by softmax(logits)."""
    rng = np.random.default_rng(2)
    return (softmax(logits).cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)


def test_scaling_probabilities_is_dividing_logits_and_keeps_the_likeliest(logits):
    probs = softmax(logits)
    assert_near(scaled(probs, 1.0), probs)
    assert_near(scaled(probs, 2.5), softmax(logits / 2.5))
    assert (scaled(probs, 2.5).argmax(axis=1) == probs.argmax(axis=1)).all()


def test_a_probability_of_zero_stays_finite():
    found = scaled(np.array([[1.0, 0.0]]), 3.0)
    assert np.isfinite(found).all() and found[0, 1] < 1e-9
    assert np.isfinite(nll(np.array([[1.0, 0.0]]), np.array([1])))


@pytest.mark.parametrize("over", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_logits_that_are_too_large_or_too_small(logits, labels, over):
    """The estimate's standard error on 4000 items is about 0.02 of it."""
    probs = softmax(logits * over)
    found = fit_temperature(probs, labels)
    assert found == pytest.approx(over, rel=0.08)
    best = nll(scaled(probs, found), labels)
    assert all(best <= nll(scaled(probs, found * step), labels) for step in (0.9, 0.99, 1.01, 1.1))
    before, after = (expected_calibration_error(each, labels) for each in (probs, scaled(probs, found)))
    assert after < 2.5 and (over == 1.0 or before > 2 * after)


def test_the_temperature_has_limits():
    """All right: the smaller, the likelier, until nothing is left to win; all wrong: the larger."""
    probs = softmax(np.array([[2.0, 0.0], [0.0, 2.0]]))
    assert fit_temperature(probs, np.array([0, 1])) == pytest.approx(LIMITS[0], rel=0.2)
    assert fit_temperature(probs, np.array([1, 0])) == pytest.approx(LIMITS[1], rel=1e-3)


def test_the_calibration_error_by_hand():
    """Of 10 bins: two items of confidence 0.9 in the ninth, one right; one of 0.6 in the sixth, right; one of 0.95 in
    the tenth, wrong."""
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.05, 0.95]])
    found = expected_calibration_error(probs, np.array([0, 1, 1, 0]), 10)
    assert found == pytest.approx(100 * (2 * abs(0.5 - 0.9) + abs(1 - 0.6) + abs(0 - 0.95)) / 4)


def test_a_bin_is_closed_above():
    """0.75 belongs to (0.5, 0.75] of four bins: with 0.7, its error cancels."""
    probs = np.array([[0.75, 0.25], [0.7, 0.3]])
    assert expected_calibration_error(probs, np.array([0, 1]), 4) == pytest.approx(100 * abs(0.5 - 0.725))
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0]), 4) == 0


def test_the_error_of_predictions_is_that_of_their_probabilities():
    rows = [
        ("trnet", "none", "1", 1, "clean", None, "a", "x", "x", None, 0.9, 0.1),
        ("trnet", "none", "1", 1, "esc", 5.0, "a", "x", "y", None, 0.3, 0.7),
    ]
    table = make_predictions(rows, ("x", "y"))
    probs = np.array([[0.9, 0.1], [0.3, 0.7]])
    for temperature in (1.0, 2.0):
        wanted = expected_calibration_error(scaled(probs, temperature), np.array([0, 0]))
        assert error_of_predictions(pd.DataFrame(table), temperature) == pytest.approx(wanted)
