"""One copy of features for several processes: read once, the same numbers, gone with the processes."""

import errno
import os
from functools import partial

import numpy as np
import pytest
from shared_archives import LENGTH, SETS, SIZE, Archives, cache, held

from trnet.utils.errors import TrnetError
from trnet.utils.workers import Workers


def alone(tmp_path, half=False):
    return held(Archives(tmp_path / "alone"), None, half, room=4 * SIZE)[0]


@pytest.mark.parametrize("half", [False, True])
def test_processes_read_each_archive_once_for_all_and_get_the_same_numbers(tmp_path, half):
    archives = Archives(tmp_path / "log")
    with cache(archives, half=half).sharing(SETS, LENGTH, 4 * SIZE) as shared, Workers(3) as workers:
        assert shared.nbytes == (2 if half else 4) * SIZE
        archives.log.unlink()
        results = workers.map(partial(held, archives, shared, half, 0), range(6))
    assert all(count == 4 for _, count in results)
    for batches, _ in results:
        assert all(map(np.array_equal, batches, alone(tmp_path, half)))
    lines = archives.log.read_text().splitlines()
    looks = "enhanced u0 clean"  # for the dimension, once a cache
    assert sorted(set(lines)) == sorted(f"{kind} {utt} {c.name}" for kind, c in SETS for utt in LENGTH)
    assert [line for line in lines if lines.count(line) > 1 and line != looks] == []


def test_what_there_is_no_room_for_each_process_keeps_for_itself(tmp_path):
    archives = Archives(tmp_path / "log")
    with cache(archives).sharing(SETS, LENGTH, 3 * SIZE) as shared:
        assert len(shared.sets) == 3
        batches, count = held(archives, shared, room=SIZE)
        assert count == 4 and all(map(np.array_equal, batches, alone(tmp_path)))
        batches, count = held(archives, shared)
        assert count == 3 and all(map(np.array_equal, batches, alone(tmp_path)))
    with cache(archives).sharing(SETS, LENGTH, SIZE - 1) as shared:
        assert shared is None


def test_utterances_that_are_not_shared_make_a_copy_of_its_own(tmp_path):
    archives = Archives(tmp_path / "log")
    with cache(archives).sharing(SETS, set(LENGTH) - {"u3"}, 4 * SIZE) as shared:
        batches, count = held(archives, shared, room=4 * SIZE)
    assert count == 4 and all(map(np.array_equal, batches, alone(tmp_path)))


def test_an_archive_that_could_not_be_read_is_read_by_the_next(tmp_path):
    good, broken = Archives(tmp_path / "good"), Archives(tmp_path / "broken", broken="u4")
    with cache(good).sharing(SETS, LENGTH, 4 * SIZE) as shared:
        with pytest.raises(TrnetError, match="u4: no features"):
            held(broken, shared)
        batches, count = held(good, shared)
    assert count == 4 and all(map(np.array_equal, batches, alone(tmp_path)))


def test_the_memory_is_given_back(tmp_path):
    with cache(Archives(tmp_path / "log")).sharing(SETS, LENGTH, 4 * SIZE) as shared:
        assert shared.path.exists()
    assert not shared.path.exists()


def refuse(*_args, **_more):
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


@pytest.mark.parametrize("step", ["memfd_create", "ftruncate"])
def test_without_such_memory_each_has_its_own(tmp_path, monkeypatch, step):
    monkeypatch.setattr(os, step, refuse)
    with cache(Archives(tmp_path / "log")).sharing(SETS, LENGTH, 4 * SIZE) as shared:
        assert shared is None
        batches, count = held(Archives(tmp_path / "log"), shared, room=4 * SIZE)
    assert count == 4 and all(map(np.array_equal, batches, alone(tmp_path)))


def test_a_process_that_cannot_open_it_has_its_own(tmp_path, monkeypatch):
    archives = Archives(tmp_path / "log")
    with cache(archives).sharing(SETS, LENGTH, 4 * SIZE) as shared:
        with monkeypatch.context() as context:
            context.setattr(np, "memmap", refuse)
            batches, count = held(archives, shared, room=2 * SIZE)
        assert count == 2 and all(map(np.array_equal, batches, alone(tmp_path)))
        assert held(archives, shared)[1] == 4  # the others go on


def test_a_process_that_finds_other_lengths_has_its_own(tmp_path, monkeypatch):
    archives = Archives(tmp_path / "log")
    with cache(archives).sharing(SETS, LENGTH, 4 * SIZE) as shared:
        held(archives, shared)
        monkeypatch.setitem(LENGTH, "u0", LENGTH["u4"])
        monkeypatch.setitem(LENGTH, "u4", 3)
        batches, count = held(archives, shared, room=4 * SIZE)
    assert count == 4 and all(map(np.array_equal, batches, alone(tmp_path)))
