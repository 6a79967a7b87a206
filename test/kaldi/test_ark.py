"""Features in ark/scp: what is read is what was written, under its own key, wherever the folder lies; no shell."""

import os
import pickle

import kaldiio
import numpy as np
import pytest

from trnet.kaldi.ark import ArkReader, decode_matrix, encode, write_ark
from trnet.kaldi.data_dir import read_table, write_table
from trnet.utils.stamp import file_digest

SHAPES = {"A-1": (3, 4), "A-2": (3, 4), "B-1": (700, 4)}


def matrix(key: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(key).normal(size=shape).astype(np.float32)


MATRICES = {utt: matrix(key, shape) for key, (utt, shape) in enumerate(SHAPES.items())}


@pytest.fixture
def folder(tmp_path):
    write_ark(tmp_path / "set", MATRICES.items(), 0)
    return tmp_path / "set"


def test_what_was_written_is_read_from_wherever_the_folder_lies(folder, tmp_path, monkeypatch):
    moved = folder.rename(tmp_path / "moved here")
    for here in (tmp_path, moved, "/"):
        monkeypatch.chdir(here)
        reader = ArkReader(os.path.relpath(moved))
        assert all(np.array_equal(reader[utt], found) for utt, found in MATRICES.items())


def test_utterances_that_changed_places_are_noticed(folder):
    """Two of one length, exchanged in feats.scp: each would be trained on with the other's label."""
    scp = read_table(folder / "feats.scp")
    scp["A-1"], scp["A-2"] = scp["A-2"], scp["A-1"]
    write_table(folder / "feats.scp", scp)
    for utt in ("A-1", "A-2"):
        with pytest.raises(ValueError, match="not its features"):
            ArkReader(folder)[utt]
    assert np.array_equal(ArkReader(folder)["B-1"], MATRICES["B-1"])


@pytest.mark.parametrize("size", [1, 3000])
def test_zeroed_bytes_are_noticed_and_the_others_still_read(folder, size):
    ark = folder / "feats.ark"
    content = bytearray(ark.read_bytes())
    content[-size:] = bytes(size)
    assert bytes(content) != ark.read_bytes()
    ark.write_bytes(content)
    reader = ArkReader(folder)
    with pytest.raises(ValueError, match="not what was written"):
        reader["B-1"]
    assert np.array_equal(reader["A-1"], MATRICES["A-1"])


def test_a_folder_without_checksums_is_read_and_held_against_the_digest_of_the_whole(folder, tmp_path, monkeypatch):
    """As older versions wrote it: paths from where the recipe ran, and a digest in the stamp only."""
    (folder / "utt2checksum").unlink()
    scp = {utt: entry.replace("feats.ark", "set/feats.ark") for utt, entry in read_table(folder / "feats.scp").items()}
    write_table(folder / "feats.scp", scp)
    digest = file_digest(folder / "feats.ark")
    monkeypatch.chdir(tmp_path)
    assert all(np.array_equal(ArkReader(folder, digest)[utt], found) for utt, found in MATRICES.items())
    with pytest.raises(ValueError, match="not what was written"):
        ArkReader(folder, "another")["A-1"]
    monkeypatch.chdir("/")  # from elsewhere the archive is found beside its scp
    assert np.array_equal(ArkReader(folder, digest)["A-1"], MATRICES["A-1"])


@pytest.mark.parametrize(
    "entry",
    ["touch RAN; cat /dev/null |", "| touch RAN", "feats.ark", "feats.ark:-1", "feats.ark:x", "feats.ark:0[0:2]"],
)
def test_nothing_but_archive_and_offset_is_an_entry(folder, monkeypatch, entry):
    write_table(folder / "feats.scp", {**read_table(folder / "feats.scp"), "A-1": entry})
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="not ARCHIVE:OFFSET"):
        ArkReader(folder)["A-1"]
    assert not (folder / "RAN").exists()


@pytest.mark.parametrize("name", ["/dev/zero", "fifo", "sub"])
def test_an_archive_is_a_file_and_nothing_that_never_ends(folder, name):
    os.mkfifo(folder / "fifo")
    (folder / "sub").mkdir()
    write_table(folder / "feats.scp", {**read_table(folder / "feats.scp"), "A-1": f"{name}:4"})
    with pytest.raises(ValueError, match=name):
        ArkReader(folder)["A-1"]


class Trap:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self):
        return os.mkdir, ("RAN",)


def test_an_archive_runs_no_code(tmp_path, monkeypatch):
    """kaldiio takes what begins with PKL for a pickle."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="matrix"):
        decode_matrix(b"PKL" + pickle.dumps(Trap()))
    assert not (tmp_path / "RAN").exists()


@pytest.mark.parametrize("compression", [0, 3])
def test_a_cut_or_strange_matrix_is_refused(compression):
    stored = encode(MATRICES["B-1"], compression)
    assert decode_matrix(stored).shape == SHAPES["B-1"]
    for damaged in (
        stored[:-1],
        stored[:20],
        stored[:2],
        b"",
        b" [ 1 2 ]",
        b"\0BFM \4\xff\xff\xff\x7f\4\xff\xff\xff\x7f",
    ):
        with pytest.raises(ValueError, match="matrix"):
            decode_matrix(damaged)


def test_kaldiio_reads_the_archive(folder):
    read = dict(kaldiio.load_ark(str(folder / "feats.ark")))
    assert all(np.array_equal(read[utt], found) for utt, found in MATRICES.items())
