"""Bootstrap intervals and paired tests against values by hand, by enumeration, and by a plain loop."""

import itertools

import numpy as np
import pytest

from trnet.eval.intervals import (
    bootstrap_interval,
    counts,
    difference_parts,
    holm,
    resampled_unit,
    scores,
    sign_flip_p,
)
from trnet.metrics import uar, war


def uneven(speakers, seed=0, utts=200):
    """Labels, speakers, and right answers (U, 2) of speakers who differ, with uneven classes."""
    rng = np.random.default_rng(seed)
    spk = np.sort(np.concatenate([np.arange(speakers), rng.integers(0, speakers, utts - speakers)]))
    labels = rng.choice(3, utts, p=[0.6, 0.3, 0.1])
    easy = np.linspace(0.3, 0.9, speakers)[spk]
    right = rng.random((utts, 2)) < np.stack([easy, easy - 0.1], axis=1)
    return labels, spk, right.astype(float)


def plain(labels, speakers, right):
    """(2, 2) scores by a plain loop: quick."""

    def both(mine):
        recalls = [right[mine & (labels == c)].mean() for c in range(3) if (mine & (labels == c)).any()]
        return np.mean(recalls), right[mine].mean()

    each = [both(speakers == s) for s in np.unique(speakers)]
    return 100 * np.array([np.mean(each, axis=0), both(speakers >= 0)])


def by_metrics(labels, speakers, right):
    """(2, 2) scores through trnet.metrics: a wrong answer is class "x"."""
    words = [str(label) for label in labels]
    preds = [word if ok else "x" for word, ok in zip(words, right, strict=True)]
    each = []
    for s in sorted(set(speakers)):
        mine = [i for i, spk in enumerate(speakers) if spk == s]
        each.append([metric([words[i] for i in mine], [preds[i] for i in mine]) for metric in (uar, war)])
    return np.array([np.mean(each, axis=0), [uar(words, preds), war(words, preds)]])


@pytest.mark.parametrize("number", [1, 2, 7])
def test_scores_are_those_of_the_metrics(number):
    labels, speakers, right = uneven(number)
    found = scores(*counts(right, labels, speakers, 3))
    for k in range(2):
        np.testing.assert_allclose(found[:, :, k], by_metrics(labels, speakers, right[:, k]))


@pytest.mark.parametrize("number", [3, 8])
def test_interval_is_that_of_a_plain_loop(number):
    """8 speakers: speakers are drawn; 3: utterances within each."""
    labels, speakers, right = uneven(number)
    low, high = bootstrap_interval(right, labels, speakers, resamples=1500, seed=1)
    assert low.shape == high.shape == (2, 2, 2)
    rng = np.random.default_rng(5)
    own = [np.flatnonzero(speakers == s) for s in range(number)]
    drawn = []
    for _ in range(600):
        if resampled_unit(number) == "speakers":
            parts = [own[s] for s in rng.integers(0, number, number)]
        else:
            parts = [rng.choice(utts, len(utts)) for utts in own]
        spk = np.repeat(np.arange(number), [len(part) for part in parts])
        chosen = np.concatenate(parts)
        drawn.append(plain(labels[chosen], spk, right[chosen, 0]))
    ends = np.percentile(drawn, [2.5, 97.5], axis=0)
    width = ends[1] - ends[0]
    assert (abs(low[:, :, 0] - ends[0]) < 0.12 * width).all()
    assert (abs(high[:, :, 0] - ends[1]) < 0.12 * width).all()


def test_resampled_speakers_give_wider_intervals_than_their_utterances():
    labels, speakers, right = uneven(8, utts=800)
    low, high = bootstrap_interval(right, labels, speakers, resamples=500, seed=0)
    few = speakers % 4  # the same utterances, said to be of four speakers
    low4, high4 = bootstrap_interval(right, labels, few, resamples=500, seed=0)
    assert (high - low > 1.5 * (high4 - low4)).all()


def test_rule_for_few_speakers():
    assert [resampled_unit(n) for n in (1, 2, 5, 6, 10)] == [None, "utterances", "utterances", "speakers", "speakers"]
    labels, _, right = uneven(1)
    assert bootstrap_interval(right, labels, np.zeros(len(labels), dtype=int), resamples=100, seed=0) is None


def test_same_seed_same_ends():
    labels, speakers, right = uneven(6)
    one, two, other = (bootstrap_interval(right, labels, speakers, resamples=200, seed=s)[0] for s in (3, 3, 4))
    assert (one == two).all() and (one != other).any()


def test_speakers_alike_give_an_interval_without_width():
    labels, speakers = np.tile([0, 1], 6), np.repeat(np.arange(6), 2)
    right = np.tile([[1.0], [0.5]], (6, 1))
    low, high = bootstrap_interval(right, labels, speakers, resamples=200, seed=0)
    np.testing.assert_allclose(low, 75.0)
    np.testing.assert_allclose(high, 75.0)


def test_parts_add_up_to_the_difference():
    labels, speakers, right = uneven(5)
    _, _, other = uneven(5, seed=9)
    parts = difference_parts(right - other, labels, speakers)
    whole = scores(*counts(right, labels, speakers, 3)) - scores(*counts(other, labels, speakers, 3))
    assert parts.shape == (2, 2, 2, 200)
    np.testing.assert_allclose(parts.sum(axis=-1), whole)


def enumerated(parts):
    sums = [abs(np.dot(signs, parts)) for signs in itertools.product((-1, 1), repeat=len(parts))]
    return np.mean([total >= abs(parts.sum()) - 1e-9 for total in sums])


def test_sign_flips_are_exact_where_they_can_be():
    rng = np.random.default_rng(0)
    parts = rng.normal(0.4, 1, (2, 3, 8))
    found = sign_flip_p(parts, resamples=9999, seed=0)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found, [[enumerated(p) for p in row] for row in parts])
    assert sign_flip_p(np.ones(6), resamples=9999, seed=0) == pytest.approx(2 / 64)


def test_random_sign_flips_come_close_to_all():
    parts = np.random.default_rng(1).normal(0.35, 1, (3, 15))
    found = sign_flip_p(parts, resamples=9999, seed=0)
    np.testing.assert_allclose(found, [enumerated(p) for p in parts], atol=0.02)
    assert (found == sign_flip_p(parts, resamples=9999, seed=0)).all()
    assert sign_flip_p(np.zeros((1, 20)), resamples=100, seed=0) == [1.0]


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.9, 0.6])), [1.0, 1.0])
