"""Archives loaded by threads: the numbers of the single matrices in their places, and the same errors."""

import os

import numpy as np
import pytest
import torch

from trnet.conditions import CLEAN, Condition
from trnet.features import loading
from trnet.features.cache import FeatureCache, Room, sets_of
from trnet.features.reader import FeatureReader
from trnet.kaldi.ark import write_ark
from trnet.kaldi.data_dir import read_table, write_table
from trnet.utils.errors import TrnetError

CPU = torch.device("cpu")
DIM = 6
CONDITIONS = (CLEAN, Condition("esc", -5), Condition("esc", 0))
SETS = sets_of(["noisy", "enhanced"], CONDITIONS)
LENGTH = {f"u{i:02}": 1 + 7 * i % 11 for i in range(30)}
BAD = ("noisy", Condition("esc", 0))


def write(dump, compression=3, other=None) -> FeatureReader:
    """Archives of all sets; `other`: matrices of some utterances of one of them, instead of their own."""
    reader = FeatureReader(dump, "gtcrn", "corpus", DIM)
    for number, (kind, condition) in enumerate(sorted(SETS, key=str)):
        rng = np.random.default_rng(number)
        matrices = {condition.utt(utt): rng.normal(0, 3, (n, DIM)).astype(np.float32) for utt, n in LENGTH.items()}
        if (kind, condition) == BAD:
            matrices |= {condition.utt(utt): matrix for utt, matrix in (other or {}).items()}
        write_ark(reader.folder(kind, condition), matrices.items(), compression)
    return reader


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Some utterances at a time, as of a large corpus."""
    monkeypatch.setattr(loading, "PORTION", 20 * 4 * DIM)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)


def cache_of(reader, device=CPU, **room) -> FeatureCache:
    return FeatureCache(reader, LENGTH, device, Room(**({"device": 1 << 20} | room)))


def check(cache, reader, utts=tuple(LENGTH)) -> None:
    """The cache holds what is read singly."""
    for kind, condition in SETS:
        batch = cache.stack(kind, [(utt, condition) for utt in utts]).cpu().numpy()
        for found, utt in zip(batch, utts, strict=True):
            assert np.array_equal(found[: LENGTH[utt]], reader.matrix(kind, utt, condition))


@pytest.mark.parametrize("portion", [1, 20 * 4 * DIM, 1 << 20])
@pytest.mark.parametrize("compression", [0, 3])
def test_what_is_loaded_is_what_is_read_singly(tmp_path, monkeypatch, compression, portion):
    monkeypatch.setattr(loading, "PORTION", portion)
    reader = write(tmp_path, compression)
    cache = cache_of(reader)
    cache.hold(SETS, LENGTH)
    monkeypatch.setattr(FeatureReader, "matrix", None)  # all is there
    assert cache.in_memory == SETS and cache.stack("noisy", [("u03", CLEAN)]).shape == (1, LENGTH["u03"], DIM)
    monkeypatch.undo()
    check(cache, reader)


def test_some_utterances_of_an_archive_are_loaded_alone(tmp_path):
    reader = write(tmp_path)
    cache = cache_of(reader)
    cache.hold(SETS, list(LENGTH)[::-4])
    check(cache, reader)


def test_good_archives_are_not_read_singly(tmp_path, monkeypatch):
    """But for the first matrix, which says how many values a frame has."""
    reader, read, asked = write(tmp_path), FeatureReader.matrix, []
    monkeypatch.setattr(FeatureReader, "matrix", lambda self, *key: asked.append(key) or read(self, *key))
    cache_of(reader).hold(SETS, LENGTH)
    assert len(asked) == 1


def test_archives_of_older_versions_are_loaded(tmp_path):
    reader = write(tmp_path)
    for kind, condition in SETS:
        (reader.folder(kind, condition) / "utt2checksum").unlink()
    cache = cache_of(reader)
    cache.hold(SETS, LENGTH)
    check(cache, reader)


def test_features_get_to_a_device_by_way_of_the_host(tmp_path, monkeypatch):
    """As if the processor's memory were a GPU's; some archives on it, some on the disk."""
    monkeypatch.setattr(loading, "_is_near", lambda target: False)
    reader = write(tmp_path / "dump")
    cache = cache_of(reader)
    cache.hold(SETS, LENGTH)
    check(cache, reader)


@pytest.mark.gpu
def test_features_get_to_a_gpu_and_what_has_no_room_to_its_host(tmp_path):
    reader, size = write(tmp_path / "dump"), 4 * DIM * sum(LENGTH.values())
    for room in (Room(6 * size), Room(3 * size, 2 * size, size, tmp_path), Room(0, 6 * size)):
        cache = FeatureCache(reader, LENGTH, torch.device("cuda", 0), room)
        with torch.cuda.stream(torch.cuda.Stream()):
            cache.hold(SETS, LENGTH)
        assert cache.in_memory == SETS
        assert (cache.resident(SETS) is not None) == (room.device == 6 * size)
        check(cache, reader)


def damage(reader, utts) -> None:
    """A byte of each of these of one archive."""
    folder = reader.folder(*BAD)
    content, entries = bytearray((folder / "feats.ark").read_bytes()), read_table(folder / "feats.scp")
    for utt in utts:
        content[int(entries[BAD[1].utt(utt)].partition(":")[2]) + 25] ^= 4
    (folder / "feats.ark").write_bytes(content)


def error_of(function) -> str:
    with pytest.raises(TrnetError) as caught:
        function()
    return str(caught.value)


def test_the_first_damaged_utterance_is_named_as_when_it_is_read_singly(tmp_path):
    reader = write(tmp_path)
    damage(reader, ["u21", "u12", "u28"])
    said = error_of(lambda: cache_of(reader).hold(SETS, LENGTH))
    assert said == error_of(lambda: reader.matrix(BAD[0], "u12", BAD[1]))
    assert f"{reader.folder(*BAD)}/feats.ark" in said and "u12-esc_0db" in said


def test_missing_features_are_named(tmp_path):
    reader = write(tmp_path)
    for table in ("feats.scp", "utt2checksum"):
        path = reader.folder(*BAD) / table
        write_table(path, {key: value for key, value in read_table(path).items() if not key.startswith("u17")})
    assert "feats.scp: no features of u17-esc_0db" in error_of(lambda: cache_of(reader).hold(SETS, LENGTH))
    (reader.folder(*BAD) / "feats.scp").unlink()
    reader = FeatureReader(tmp_path, "gtcrn", "corpus", DIM)
    assert "feats.scp: no such file" in error_of(lambda: cache_of(reader).hold(SETS, LENGTH))


@pytest.mark.parametrize("shape", [(LENGTH["u17"] + 1, DIM), (LENGTH["u17"], DIM + 1)])
def test_features_of_another_shape_are_named(tmp_path, shape):
    reader = write(tmp_path, other={"u17": np.ones(shape, np.float32)})
    said = error_of(lambda: cache_of(reader).hold(SETS, LENGTH))
    assert "u17" in said and str(shape[shape[1] != DIM]) in said
