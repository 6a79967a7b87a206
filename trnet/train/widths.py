"""The few lengths that batches are padded to where shapes are static."""

import bisect
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from trnet.conditions import CLEAN
from trnet.train.batches import rounded, training_batches

WIDTHS = 3  # of an experiment; each is compiled once


class Widths(NamedTuple):
    """Widths of features, and of what the gate reads (none where it reads the features)."""

    frames: list[int]
    mel_frames: list[int]


def batch_widths(length: Mapping[str, int], batch_size: int, bucketing: int) -> list[int]:
    """Ascending widths (frames), at most `WIDTHS`, that waste least on batches of a corpus; the last fits everything.

    Args:
        length: Frames of each utterance of the corpus.
        batch_size: Utterances a batch.
        bucketing: Batches that are sorted by length together.
    """
    items = [(utt, CLEAN) for utt in sorted(length)]
    batches = training_batches(items, length, batch_size, bucketing, "widths")
    longest = [rounded(max(length[utt] for utt, _ in batch)) for batch in batches]
    longest.append(rounded(max(length.values())))
    counts = {width: longest.count(width) for width in sorted(set(longest))}
    return _best(list(counts), list(counts.values()), WIDTHS)


def width_for(widths: Sequence[int], frames: int) -> int:
    """The smallest of ascending widths that so many frames fit into."""
    return widths[bisect.bisect_left(widths, frames)]


def _best(values: list[int], counts: list[int], most: int) -> list[int]:
    """The `most` of ascending values, the last among them, that pad least if each goes up to the next one."""

    def cost(first: int, last: int) -> int:
        return sum(counts[i] * (values[last] - values[i]) for i in range(first, last + 1))

    best = [(cost(0, last), [values[last]]) for last in range(len(values))]  # of the first ones, by the last of them
    for _ in range(most - 1):
        best = [
            min([best[last], *((best[k][0] + cost(k + 1, last), [*best[k][1], values[last]]) for k in range(last))])
            for last in range(len(values))
        ]
    return best[-1][1]
