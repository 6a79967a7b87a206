"""Bootstrap intervals and paired tests of UAR and WAR, by scipy, for few speakers and many utterances.

Two averages. ``speakers``: UAR (WAR) of each test speaker, then their mean; with one test speaker a fold this is the
mean over folds. ``pooled``: UAR (WAR) over the utterances of all speakers at once. Either is linear in the answers
that are right, so that a difference of two systems is the score of the difference of their answers.

The rule for few speakers. The widest interval that resampled speakers can give reaches from the lowest speaker to the
highest; it holds the median speaker with probability 1 - 2^(1-S) for S speakers, and the smallest two-sided p of a
sign-flip test over speakers is 2^(1-S). Both pass 95 % with six speakers. From six on, speakers are resampled; with two
to five, utterances within each speaker, which says nothing of other speakers; with one, there is no interval.
"""

import warnings

import numpy as np

LEVEL = 0.95
MIN_SPEAKERS = 6
AVERAGES = ("speakers", "pooled")
METRICS = ("uar", "war")
SPEAKERS, UTTERANCES = "speakers", "utterances"
BATCH = 250  # resamples at a time: bounds the memory


def resampled_unit(speakers: int) -> str | None:
    """What an interval resamples with so many test speakers; None where there can be no interval."""
    if speakers >= MIN_SPEAKERS:
        return SPEAKERS
    return UTTERANCES if speakers > 1 else None


def counts(share: np.ndarray, labels: np.ndarray, speakers: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Right answers (S, C, K) and utterances (S, C) of each speaker and class, from shares of right answers (U, K)."""
    cells = speakers * classes + labels
    shape = (int(speakers.max()) + 1, classes)
    size = shape[0] * shape[1]
    right = np.stack([np.bincount(cells, column, size) for column in share.T], axis=-1)
    return right.reshape(*shape, -1), np.bincount(cells, minlength=size).reshape(shape).astype(float)


def scores(right: np.ndarray, number: np.ndarray) -> np.ndarray:
    """UAR and WAR in percent (2 averages, 2 metrics, K, ...) from right (..., S, C, K) and number (..., S, C).

    In the order of AVERAGES and METRICS. A class without utterances does not enter a UAR.
    """

    def both(right: np.ndarray, number: np.ndarray) -> list[np.ndarray]:  # (..., C, K), (..., C)
        recall = right / np.maximum(number, 1e-12)[..., None]
        present = np.maximum((number > 0).sum(axis=-1), 1)
        total = np.maximum(number.sum(axis=-1), 1e-12)
        return [recall.sum(axis=-2) / present[..., None], right.sum(axis=-2) / total[..., None]]

    by_speaker = [value.mean(axis=-2) for value in both(right, number)]
    pooled = both(right.sum(axis=-3), number.sum(axis=-2))
    return 100.0 * np.moveaxis(np.stack([np.stack(by_speaker), np.stack(pooled)]), -1, 2)


def bootstrap_interval(
    share: np.ndarray, labels: np.ndarray, speakers: np.ndarray, *, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Ends of the 95 % percentile bootstrap interval of `scores`, each (2, 2, K); None with one speaker.

    Args:
        share: Right answers (U, K) of each utterance, averaged over seeds and conditions (or a difference of two
            systems' shares). All seeds of a speaker (or utterance) are drawn together.
        labels: Class indices (U,).
        speakers: Speaker indices (U,), from 0 on.
    """
    number_of_speakers, classes = int(speakers.max()) + 1, int(labels.max()) + 1
    unit = resampled_unit(number_of_speakers)
    if unit is None:
        return None
    right, number = counts(share, labels, speakers, classes)
    own = [np.flatnonzero(speakers == s) for s in range(number_of_speakers)]
    member = [np.eye(classes)[labels[utts]] for utts in own]  # (U_s, C)
    table = [(m[:, :, None] * share[u][:, None]).reshape(len(u), -1) for m, u in zip(member, own, strict=True)]

    def of_speakers(drawn: np.ndarray, axis: int) -> np.ndarray:
        return scores(right[drawn], number[drawn])

    def of_utterances(*drawn: np.ndarray, axis: int) -> np.ndarray:
        rights, numbers = [], []
        for chosen, in_class, right_in_class in zip(drawn, member, table, strict=True):
            times = _times_drawn(chosen, len(in_class))
            numbers.append(times @ in_class)
            rights.append((times @ right_in_class).reshape(*times.shape[:-1], classes, -1))
        return scores(np.stack(rights, axis=-3), np.stack(numbers, axis=-2))

    from scipy import stats  # here, as it takes more than a second, which processes that only predict need not

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where every resample scores the same
        found = stats.bootstrap(
            [np.arange(number_of_speakers)] if unit == SPEAKERS else [np.arange(len(utts)) for utts in own],
            of_speakers if unit == SPEAKERS else of_utterances,
            n_resamples=resamples,
            batch=BATCH,
            vectorized=True,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    return np.asarray(found.confidence_interval.low), np.asarray(found.confidence_interval.high)


def _times_drawn(drawn: np.ndarray, size: int) -> np.ndarray:
    """How often each of `size` items is in each row of drawn (B, n): (B, size)."""
    rows = np.arange(len(drawn))[:, None] * size
    return np.bincount((rows + drawn).ravel(), minlength=len(drawn) * size).reshape(len(drawn), size).astype(float)


def difference_parts(difference: np.ndarray, labels: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Parts (2, 2, K, U) of each utterance in the difference of two systems' `scores`, in percent; they add up to it.

    `difference` (U, K): right answers of the one less those of the other. `labels`, `speakers` (U,): indices.
    """
    _, number = counts(difference, labels, speakers, int(labels.max()) + 1)
    total = number.sum(axis=0)
    present = (number > 0).sum(axis=1)
    weights = [
        [1 / (len(number) * present[speakers] * number[speakers, labels]), 1 / (len(number) * number.sum(1)[speakers])],
        [1 / ((total > 0).sum() * total[labels]), np.full(len(labels), 1 / total.sum())],
    ]
    return 100.0 * np.array(weights)[:, :, None] * difference.T


def sign_flip_p(parts: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """Two-sided p of the sum of parts (..., n): under the null hypothesis each of the n has either sign alike.

    Exact where 2^n is at most `resamples`, else from so many random assignments of signs.
    """
    from scipy import stats

    flat = parts.reshape(-1, parts.shape[-1])
    if 2 ** flat.shape[1] <= resamples:
        exact = stats.permutation_test(
            (flat,), np.sum, permutation_type="samples", vectorized=True, n_resamples=resamples, axis=-1
        )
        return np.asarray(exact.pvalue).reshape(parts.shape[:-1])
    return np.array([_random_sign_p(row, resamples, seed) for row in flat]).reshape(parts.shape[:-1])


def _random_sign_p(parts: np.ndarray, resamples: int, seed: int) -> float:
    from scipy import stats

    rng = np.random.default_rng(seed)
    parts = parts[parts != 0]  # whose sign changes nothing
    if not len(parts):
        return 1.0

    def signs(size: tuple[int, ...]) -> np.ndarray:
        return rng.choice(np.array([-1, 1], dtype=np.int8), size)

    def total(signs: np.ndarray, axis: int) -> np.ndarray:
        return signs.astype(float) @ parts

    observed = np.ones(len(parts))
    return float(
        stats.monte_carlo_test(
            observed, signs, total, vectorized=True, n_resamples=resamples, batch=BATCH, axis=-1
        ).pvalue
    )


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of p (n,): the family-wise error stays below the level whatever the dependence.

    statsmodels has it too, at more than 45 MB to install for these six lines.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
