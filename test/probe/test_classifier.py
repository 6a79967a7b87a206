"""The linear probe: what it learns, what is chosen by whom, and that nothing is drawn."""

import numpy as np
import pytest
from near import assert_near

from trnet.probe.classifier import COSTS, Items, train_probe


def items(seed: int, count: int = 60, dim: int = 6, apart: float = 2.0) -> Items:
    """Three classes whose centres lie `apart` from each other, in dimensions of very different sizes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    pooled = rng.normal(0, 1, (count, dim))
    pooled[np.arange(count), labels] += apart
    return Items((pooled * 10.0 ** (np.arange(dim) % 6) + 5).astype(np.float32), labels)


def test_classes_that_lie_apart_are_told_whatever_the_size_of_a_dimension():
    probe = train_probe(items(0, 300, apart=6), [items(1)])
    assert probe.uar(items(2, apart=6)) > 95
    probabilities = probe.probabilities(items(2).pooled)
    assert probabilities.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_features_are_standardised_by_the_training_items_alone():
    train, valid = items(0), items(1)
    probe = train_probe(train, [valid])
    assert_near(probe.mean, train.pooled.mean(axis=0))
    assert_near(probe.scale, train.pooled.std(axis=0))
    other = train_probe(train, [Items(valid.pooled + 1000, valid.labels)])
    assert_near(other.mean, probe.mean, 0)


def test_a_dimension_without_variance_does_no_harm():
    train, valid = items(0), items(1)
    for some in (train, valid):
        some.pooled[:, 0] = 7
    assert np.isfinite(train_probe(train, [valid]).probabilities(valid.pooled)).all()


def test_the_cost_is_the_one_that_the_mean_over_validation_conditions_prefers():
    train, *valid = (items(seed, 90, 40, 1.0) for seed in range(3))
    chosen = train_probe(train, valid)

    scores = {cost: _last(train, valid, cost) for cost in COSTS}
    assert len(set(scores.values())) > 1  # there is a choice
    assert chosen.cost == max(COSTS, key=lambda cost: (scores[cost], -cost))


def _last(train: Items, valid: list[Items], cost: float) -> float:
    """Mean validation UAR of the probe with this C."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trnet.probe.classifier.COSTS", (cost,))
        probe = train_probe(train, valid)
    return float(np.mean([probe.uar(some) for some in valid]))


def test_the_same_items_give_the_same_numbers():
    one, two = (train_probe(items(0), [items(1)]).probabilities(items(2).pooled) for _ in range(2))
    assert (one == two).all()
