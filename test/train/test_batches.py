"""Batches: each utterance once an epoch, drawn by the seed, padded behind the end."""

from collections import Counter

import pytest
import torch

from trnet.conditions import CLEAN, Condition
from trnet.train.batches import BatchReader, Waves, draw_conditions, scoring_batches, training_batches

CONDITIONS = [CLEAN, Condition("esc", 10), Condition("esc", 0)]
UTTS = [f"u{i:03}" for i in range(101)]
LENGTH = {utt: 30 + (37 * i) % 101 for i, utt in enumerate(UTTS)}
ITEMS = [(utt, CLEAN) for utt in UTTS]


@pytest.mark.parametrize(("batch_size", "bucketing"), [(8, 1), (8, 4), (7, 8), (200, 8), (33, 2)])
def test_an_epoch_has_every_utterance_once(batch_size, bucketing):
    batches = list(training_batches(ITEMS, LENGTH, batch_size, bucketing, 1, "spk", 1))
    assert sorted(item[0] for batch in batches for item in batch) == UTTS
    assert max(map(len, batches)) <= batch_size and min(map(len, batches)) > 1


def test_a_last_batch_of_one_is_left_out():
    """101 = 10 * 10 + 1: BatchNorm cannot take it; who is left out changes with the epoch."""
    left_out = set()
    for epoch in range(6):
        batches = list(training_batches(ITEMS, LENGTH, 10, 1, 1, "spk", epoch))
        assert [len(batch) for batch in batches] == [10] * 10
        left_out |= set(ITEMS) - {item for batch in batches for item in batch}
    assert len(left_out) > 1


def test_batches_are_a_function_of_the_key():
    def batches(*key):
        return list(training_batches(ITEMS, LENGTH, 8, 4, *key))

    assert batches(1, "spk", 1) == batches(1, "spk", 1)
    assert batches(1, "spk", 1) != batches(1, "spk", 2) != batches(2, "spk", 2) != batches(2, "other", 2)


def test_bucketing_pads_little_and_batches_still_come_in_random_order():
    def padded(bucketing):
        batches = list(training_batches(ITEMS, LENGTH, 8, bucketing, 1))
        longest = [max(LENGTH[u] for u, _ in batch) for batch in batches]
        frames = sum(length * len(batch) for length, batch in zip(longest, batches, strict=True))
        return frames / sum(LENGTH.values()), longest

    ratio, longest = padded(8)
    assert ratio < 1.15 < padded(1)[0]
    assert longest != sorted(longest)


def test_draw_gives_each_utterance_one_condition_all_gives_every_one():
    drawn = draw_conditions(UTTS, CONDITIONS, "draw", 1, "spk", 1)
    assert [utt for utt, _ in drawn] == UTTS
    counts = Counter(condition for _, condition in drawn)
    assert set(counts) == set(CONDITIONS) and min(counts.values()) > 101 / 3 / 2
    assert drawn == draw_conditions(UTTS, CONDITIONS, "draw", 1, "spk", 1)
    assert drawn != draw_conditions(UTTS, CONDITIONS, "draw", 1, "spk", 2)
    every = draw_conditions(UTTS, CONDITIONS, "all", 1, "spk", 1)
    assert sorted(every, key=str) == sorted(((u, c) for u in UTTS for c in CONDITIONS), key=str)


def test_scoring_has_every_item_once_and_the_short_ones_first():
    items = [(utt, condition) for utt in UTTS for condition in CONDITIONS]
    batches = list(scoring_batches(items[::-1], LENGTH, 16))
    flat = [item for batch in batches for item in batch]
    assert len(flat) == len(items) and set(flat) == set(items)
    assert [LENGTH[u] for u, _ in flat] == sorted(LENGTH[u] for u, _ in flat)
    assert batches == list(scoring_batches(items, LENGTH, 16))


class Store:
    """Features that say which they are: frames by utterance, value by kind and condition."""

    length = {"a": 2, "b": 3}
    device = torch.device("cpu")

    def stack(self, kind, items):
        stacked = torch.zeros(len(items), max(self.length[utt] for utt, _ in items), 4)
        for row, (utt, condition) in zip(stacked, items, strict=True):
            row[: self.length[utt]] = {"noisy": 1, "enhanced": 2}[kind] + {None: 0, "esc": 10}[condition.noise]
        return stacked


def test_a_batch_holds_what_is_asked_for_and_the_target_is_clean_noisy_speech():
    items = [("b", CONDITIONS[1]), ("a", CLEAN)]
    h_s = {"a": torch.tensor([1.0, 1.0]), "b": torch.tensor([2.0, 2.0])}
    batch = BatchReader(Store(), {"a": 0, "b": 3}, ["noisy", "enhanced"], "noisy", h_s).read(items)
    assert batch.items == tuple(items)
    assert batch.lengths.tolist() == [3, 2] and batch.labels.tolist() == [3, 0]
    assert batch.noisy[:, 0, 0].tolist() == [11, 1] and batch.enhanced[:, 0, 0].tolist() == [12, 2]
    assert batch.clean[:, 0, 0].tolist() == [1, 1]
    for stack in (batch.noisy, batch.enhanced, batch.clean):
        assert stack.shape[1] == 16 and not stack[0, 3:].any() and not stack[1, 2:].any()
    assert batch.h_s.tolist() == [[2, 2], [1, 1]]
    cleaner = BatchReader(Store(), {"a": 0, "b": 3}, ["noisy", "enhanced"], "enhanced").read(items)
    assert cleaner.clean[:, 0, 0].tolist() == [2, 2]
    mixed = BatchReader(Store(), {"a": 0, "b": 3}, ["noisy"], waves=Waves(Store(), None)).read(items)
    assert mixed.noisy.shape[1] == mixed.noisy_wav.shape[1] == 3  # as many as the network gives of the waveforms
    alone = BatchReader(Store(), {"a": 0, "b": 3}, ["noisy"]).read(items)
    assert alone.enhanced is None and alone.clean is None and alone.h_s is None
