"""Features read in bulk: bit for bit what is read singly, and nothing that would be refused there."""

import kaldiio
import numpy as np
import pytest
import xxhash

from trnet.kaldi import ark_bulk
from trnet.kaldi.ark import ArkReader, write_ark
from trnet.kaldi.data_dir import read_table, write_table

RNG = np.random.default_rng(0)
FRAMES = [1, 2, 3, 40, 41, 300, 7, 1]
MATRICES = {f"utt{'x' * i}-{i}": RNG.normal(-3, 5, (n, 7)).astype(np.float32) for i, n in enumerate(FRAMES)}
MATRICES["utt-constant"] = np.full((5, 7), -2.5, np.float32)
MATRICES["utt-large"] = np.array([[3e30, -1e30, 1e-44, 0, 1, 2, 3]], np.float32)
SECOND = list(MATRICES)[1]


@pytest.fixture(params=[0, 3])
def folder(tmp_path, request):
    write_ark(tmp_path / "set", MATRICES.items(), request.param)
    return tmp_path / "set"


def read(folder, utts=tuple(MATRICES), shapes=None) -> tuple[list[str], dict[str, np.ndarray]]:
    """What was left, and what the places hold."""
    places = {utt: np.full(MATRICES[utt].shape, np.nan, np.float32) for utt in utts} | (shapes or {})
    return ArkReader(folder).read_many(places), places


def check(folder, utts=tuple(MATRICES), left=()) -> None:
    """All but `left` are read, each as it is read singly."""
    found, places = read(folder, utts)
    singly = ArkReader(folder)
    assert found == list(left)
    for utt in set(utts) - set(left):
        assert places[utt].tobytes() == np.ascontiguousarray(singly[utt]).tobytes(), utt


@pytest.mark.parametrize(("stretch", "gap"), [(1 << 20, 64 << 10), (500, 64 << 10), (1, 0), (1 << 20, 0)])
def test_the_numbers_are_those_that_are_read_singly(folder, monkeypatch, stretch, gap):
    monkeypatch.setattr(ark_bulk, "STRETCH", stretch)
    monkeypatch.setattr(ark_bulk, "GAP", gap)
    check(folder)
    check(folder, list(MATRICES)[::-3])
    check(folder, [])


def test_what_is_written_raw_is_read_exactly(tmp_path):
    write_ark(tmp_path, MATRICES.items(), 0)
    _, places = read(tmp_path)
    assert all(np.array_equal(places[utt], found) for utt, found in MATRICES.items())


def test_a_damaged_matrix_is_left_and_the_others_are_read(folder):
    ark, entries = folder / "feats.ark", read_table(folder / "feats.scp")
    whole = ark.read_bytes()
    for utt, entry in entries.items():
        begin = int(entry.partition(":")[2])
        for place in (begin - 2, begin, begin + 7, begin + 24):
            content = bytearray(whole)
            content[place] ^= 1
            ark.write_bytes(content)
            check(folder, left=[utt])


def test_what_a_cut_archive_lacks_is_left(folder):
    """As many bytes as an empty matrix has: the last one ends in the middle, or is not there at all."""
    ark = folder / "feats.ark"
    whole = ark.read_bytes()
    ark.write_bytes(whole[:-3])
    check(folder, left=["utt-large"])
    ark.write_bytes(whole[:1])
    check(folder, left=MATRICES)
    ark.unlink()
    check(folder, left=MATRICES)


def test_utterances_that_changed_places_are_left(folder):
    first, last = list(MATRICES)[0], list(MATRICES)[7]
    scp, sums = read_table(folder / "feats.scp"), read_table(folder / "utt2checksum")
    for table in (scp, sums):
        table[first], table[last] = table[last], table[first]
    write_table(folder / "feats.scp", scp)
    write_table(folder / "utt2checksum", sums)
    check(folder, left=[first, last])


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ("feats.scp", "feats.ark"),
        ("feats.scp", "touch RAN |"),
        ("feats.scp", "feats.ark:0"),
        ("feats.scp", "feats.ark:999999999999999999"),
        ("feats.scp", "/dev/zero:10"),
        ("utt2checksum", "99999999999 0"),
        ("utt2checksum", "71 "),
        ("utt2checksum", "much"),
    ],
)
def test_entries_that_are_refused_singly_are_left(folder, table, value):
    write_table(folder / table, {**read_table(folder / table), SECOND: value})
    with pytest.raises(ValueError):
        ArkReader(folder)[SECOND]
    check(folder, left=[SECOND])


def test_what_is_not_listed_is_left(folder):
    for table in ("feats.scp", "utt2checksum"):
        entries = read_table(folder / table)
        del entries[SECOND]
        write_table(folder / table, entries)
        check(folder, left=[SECOND])


@pytest.mark.parametrize("shape", [(1, 7), (3, 7), (2, 6), (7, 2), (1, 14), (4, 7)])
def test_a_matrix_of_another_shape_is_left(folder, shape):
    assert MATRICES[SECOND].shape == (2, 7)
    left, places = read(folder, shapes={SECOND: np.zeros(shape, np.float32)})
    assert left == [SECOND] and not places[SECOND].any()


def test_a_folder_without_checksums_is_left(folder):
    (folder / "utt2checksum").unlink()
    check(folder, left=MATRICES)


@pytest.mark.parametrize("method", [2, 5])
def test_other_formats_of_kaldi_are_left(tmp_path, method):
    """A byte a value, by columns or not; with the size of one of ours, too."""
    rows = {2: 36, 5: 20}[method]  # 17 + 3 + 8 * 7 + 7 * 36
    matrix = RNG.normal(size=(rows, 7)).astype(np.float32)
    write_ark(tmp_path, {"utt": matrix}.items(), method)
    place = np.zeros_like(matrix)
    assert ArkReader(tmp_path).read_many({"utt": place}) == ["utt"] and not place.any()
    assert kaldiio.load_mat(str(tmp_path / "feats.ark") + ":4").shape == ArkReader(tmp_path)["utt"].shape


@pytest.mark.parametrize("length", ["too long", "too short", "of doubles"])
def test_a_strange_matrix_with_a_checksum_is_left(tmp_path, length):
    """As if somebody else had written it: it is not of the length that its own header says."""
    write_ark(tmp_path, {"utt": MATRICES[SECOND]}.items(), 0)
    ark = tmp_path / "feats.ark"
    content = ark.read_bytes()
    if length == "of doubles":
        content = content.replace(b"FM", b"DM")
    else:
        content = content.replace(b"\4\7\0\0\0", {"too long": b"\4\6\0\0\0", "too short": b"\4\x08\0\0\0"}[length])
    ark.write_bytes(content)
    stored = content[4:]
    write_table(tmp_path / "utt2checksum", {"utt": f"{len(stored)} {xxhash.xxh3_64_hexdigest(stored)}"})
    place = np.zeros((2, 7), np.float32)
    assert ArkReader(tmp_path).read_many({"utt": place}) == ["utt"] and not place.any()


def test_a_header_that_is_cut_is_left(tmp_path):
    """As long as one value of four bytes, but it says that it is of two."""
    write_ark(tmp_path, {"utt": np.ones((1, 1), np.float32)}.items(), 0)
    content = (tmp_path / "feats.ark").read_bytes().replace(b"FM \4", b"CM2 ")
    (tmp_path / "feats.ark").write_bytes(content)
    stored = content[4:]
    write_table(tmp_path / "utt2checksum", {"utt": f"{len(stored)} {xxhash.xxh3_64_hexdigest(stored)}"})
    assert ArkReader(tmp_path).read_many({"utt": np.zeros((1, 1), np.float32)}) == ["utt"]
