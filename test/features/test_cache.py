"""The feature cache: the same numbers wherever they lie, each archive read once."""

import errno
import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trnet.conditions import CLEAN, Condition
from trnet.features.cache import FeatureCache, Room, room_on, sets_of
from trnet.utils.errors import TrnetError

CPU = torch.device("cpu")
CONDITIONS = (CLEAN, Condition("esc", 10), Condition("esc", 0))
LENGTH = {f"u{i}": 3 + 5 * i % 7 for i in range(9)}
SETS = sets_of(["noisy", "enhanced"], CONDITIONS)
SIZE = 4 * 5 * sum(LENGTH.values())  # bytes of one archive


class Archives:
    """Random matrices, and how often each was read."""

    def __init__(self, shorter: str = ""):
        self.read, self.shorter = [], shorter

    def read_many(self, kind, condition, places):
        return list(places)

    def matrix(self, kind, utt, condition):
        self.read.append((kind, utt, condition))
        key = [ord(letter) for letter in f"{kind}{utt}{condition.name}"]
        frames = LENGTH[utt] - (kind == "enhanced" and utt == self.shorter)
        return np.random.default_rng(key).normal(size=(frames, 5)).astype(np.float32)


def mapped_bytes(folder: Path) -> int:
    """Of files in a folder that are mapped into this process, whether they have a name or not."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if f" {folder}/" in line:
            begin, end = (int(place, 16) for place in line.split()[0].split("-"))
            total += end - begin
    return total


def items(seed: int) -> list:
    rng = np.random.default_rng(seed)
    return [(f"u{rng.integers(9)}", CONDITIONS[rng.integers(3)]) for _ in range(8)]


@pytest.mark.parametrize(("in_memory", "on_disk"), [(0, 0), (1, 0), (2, 0), (5, 0), (6, 0), (0, 6), (2, 3), (5, 9)])
def test_a_batch_is_padded_matrices_wherever_they_lie(in_memory, on_disk, tmp_path):
    store = FeatureCache(Archives(), LENGTH, CPU, Room(in_memory * SIZE, 0, on_disk * SIZE, tmp_path))
    store.hold(SETS, LENGTH)
    assert len(store.in_memory) == min(in_memory + on_disk, 6) and list(tmp_path.iterdir()) == []
    wanted = min(on_disk, 6 - in_memory) * SIZE
    assert mapped_bytes(tmp_path) == -(-wanted // mmap.PAGESIZE) * mmap.PAGESIZE
    for seed in range(4):
        for kind in ("noisy", "enhanced"):
            batch = items(seed)
            matrices = [torch.from_numpy(Archives().matrix(kind, utt, condition)) for utt, condition in batch]
            wanted = torch.nn.utils.rnn.pad_sequence(matrices, batch_first=True)
            assert torch.equal(store.stack(kind, batch), wanted)


def test_nan_in_one_utterance_stays_there():
    """Also behind the end of its neighbours in memory."""

    class Bad(Archives):
        def matrix(self, kind, utt, condition):
            return super().matrix(kind, utt, condition) * (np.nan if utt == "u0" else 1)

    store = FeatureCache(Bad(), LENGTH, CPU, Room(6 * SIZE))
    store.hold(SETS, LENGTH)
    got = store.stack("noisy", [("u3", CLEAN), ("u4", CLEAN)])
    assert LENGTH["u3"] != LENGTH["u4"] and torch.isfinite(got).all()


def test_each_archive_is_read_once_and_not_at_all_where_there_is_room():
    archives = Archives()
    store = FeatureCache(archives, LENGTH, CPU, Room(6 * SIZE))
    store.hold(SETS, LENGTH)
    once = len(archives.read)
    assert once <= len(SETS) * len(LENGTH) + 1
    store.hold(sets_of(["noisy"], [CLEAN]), ["u1"])  # is there
    for seed in range(3):
        store.stack("enhanced", items(seed))
    assert len(archives.read) == once


def test_utterances_that_are_not_held_come_from_the_archives():
    archives = Archives()
    store = FeatureCache(archives, LENGTH, CPU, Room(6 * SIZE))
    store.hold(SETS, ["u1", "u2"])
    archives.read.clear()
    got = store.stack("noisy", [("u1", CLEAN), ("u5", CLEAN)])
    assert archives.read == [("noisy", "u5", CLEAN)]
    assert torch.equal(got[1, : LENGTH["u5"]], torch.from_numpy(Archives().matrix("noisy", "u5", CLEAN)))


def test_a_disk_that_gives_less_than_it_said_is_done_without(monkeypatch, tmp_path, capsys):
    def refused(*_):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "posix_fallocate", refused)
    store = FeatureCache(Archives(), LENGTH, CPU, Room(2 * SIZE, 0, 9 * SIZE, tmp_path))
    store.hold(SETS, LENGTH)
    said = capsys.readouterr().out.splitlines()
    assert len(store.in_memory) == 2 and len(said) == 3, "four archives are tried, two, one"
    assert said[0].startswith(f"{tmp_path}: no room for ") and said[0].endswith("; fewer are tried")
    items = [(utt, condition) for utt in LENGTH for condition in CONDITIONS]
    plain = FeatureCache(Archives(), LENGTH, CPU, Room(0)).stack("noisy", items)
    assert torch.equal(store.stack("noisy", items), plain)


def test_a_device_that_gives_less_than_it_said_holds_half(monkeypatch, tmp_path, capsys):
    most, empty = 2 * SIZE, FeatureCache._empty

    def scarce(self, rows, mels, home):
        if home == "cpu" and 4 * rows * mels > most:
            raise torch.OutOfMemoryError
        return empty(self, rows, mels, home)

    monkeypatch.setattr(FeatureCache, "_empty", scarce)
    store = FeatureCache(Archives(), LENGTH, CPU, Room(5 * SIZE, 0, SIZE, tmp_path))
    store.hold(SETS, LENGTH)
    assert [len(block.first) for block in store._held.blocks] == [2, 1]
    assert capsys.readouterr().out.startswith("cpu: no room for ")


def test_processes_of_torchrun_share_the_host(monkeypatch):
    alone = room_on(CPU).device
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert 0.2 * alone < room_on(CPU).device < 0.3 * alone


@pytest.mark.parametrize("disk", [0, 6])
def test_half_the_room_is_given_back_until_there_is_none(disk, tmp_path):
    store = FeatureCache(Archives(), LENGTH, CPU, Room(6 * SIZE, 0, disk * SIZE, tmp_path))
    store.hold(SETS, LENGTH)
    before = store.stack("noisy", items(1))
    counts = []
    while store.halve():
        counts.append(len(store.in_memory))
        assert torch.equal(store.stack("noisy", items(1)), before)
    assert counts == ([6, 6, 6] if disk else [3, 1, 0]) and not store.halve()


def read(each, utt) -> torch.Tensor:
    return torch.from_numpy(Archives().matrix(each[0], utt, each[1]))


def rows_of(resident, each, utt) -> torch.Tensor:
    start = resident.first[each] + resident.row[utt]
    return resident.flat[start : start + resident.length[utt]]


def test_what_lies_together_on_the_device_can_be_read_by_index():
    store = FeatureCache(Archives(), LENGTH, CPU, Room(6 * SIZE))
    assert store.resident(SETS) is None
    store.hold(SETS, LENGTH)
    resident = store.resident(SETS)
    for each in SETS:
        assert all(torch.equal(rows_of(resident, each, utt), read(each, utt)) for utt in LENGTH)


@pytest.mark.parametrize("room", [Room(5 * SIZE), Room(0)])
def test_what_does_not_lie_together_on_the_device_cannot(room, tmp_path):
    store = FeatureCache(Archives(), LENGTH, CPU, replace(room, disk=6 * SIZE, folder=tmp_path))
    store.hold(SETS, LENGTH)
    assert store.in_memory == SETS and store.resident(SETS) is None
    there = [each for each in SETS if store.resident([each]) is not None]
    assert len(there) == room.device // SIZE and (not there or store.resident(there) is not None)


def test_what_is_read_by_index_stays_when_the_cache_is_filled_anew():
    store = FeatureCache(Archives(), LENGTH, CPU, Room(6 * SIZE))
    each = ("noisy", CLEAN)
    store.hold([each], ["u1", "u2", "u7"])
    old = store.resident([each])
    before = {utt: rows_of(old, each, utt).clone() for utt in old.row}
    store.hold(SETS, LENGTH)
    new = store.resident([each])
    assert not store.halve()  # as long as somebody reads it, nothing would be freed
    for utt, wanted in before.items():
        assert torch.equal(rows_of(old, each, utt), wanted) and torch.equal(rows_of(new, each, utt), wanted)
    del new
    assert store.halve() and store.halve() and store.halve() and store.resident([each]) is None
    assert all(torch.equal(rows_of(old, each, utt), wanted) for utt, wanted in before.items())


def test_threads_share_a_cache():
    """Each wants other archives, and batches while another thread has the cache filled: no numbers are mixed."""
    store = FeatureCache(Archives(), LENGTH, CPU, Room(6 * SIZE))
    wanted = FeatureCache(Archives(), LENGTH, CPU, Room(0))

    def run(each):
        store.hold([each], LENGTH)
        found = store.resident([each])
        for seed in range(20):
            if seed == 10:
                store.hold(SETS, LENGTH)
            utts = [(utt, each[1]) for utt, _ in items(seed)]
            assert torch.equal(store.stack(each[0], utts), wanted.stack(each[0], utts))
        return found

    with ThreadPoolExecutor(len(SETS)) as pool:
        for each, found in zip(SETS, pool.map(run, SETS), strict=True):
            for utt in LENGTH:
                assert torch.equal(
                    rows_of(found, each, utt), torch.from_numpy(Archives().matrix(each[0], utt, each[1]))
                )
    assert store.in_memory == SETS and len(store._held.blocks) == 1


@pytest.mark.parametrize("room", [0, 6 * SIZE])
def test_features_of_another_length_are_refused(room):
    store = FeatureCache(Archives(shorter="u4"), LENGTH, CPU, Room(room))
    with pytest.raises(TrnetError, match=f"u4: {LENGTH['u4'] - 1} enhanced .*{LENGTH['u4']} clean"):
        store.hold(SETS, LENGTH)
        store.stack("enhanced", [("u4", CLEAN)])


def test_runs_that_share_a_machine_share_its_memory():
    assert 0 < room_on(CPU, 4).device < 0.6 * room_on(CPU, 2).device
    assert room_on(CPU).host == room_on(CPU).disk == 0  # one memory
