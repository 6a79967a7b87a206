"""Archives stay below their size, and what does not fit is named."""

import random
import tarfile

from trnet.bench.packing import pack, pack_parts, tail

KIB = 1 << 10


def noise(path, size):
    path.write_bytes(random.Random(size).randbytes(size))
    return path, path.name


def test_archives_are_filled_one_after_the_other(tmp_path):
    files = [noise(tmp_path / f"f{number}", 100 * KIB + number) for number in range(5)]
    left = pack_parts(tmp_path / "out/p", files, parts=2, largest=500 * KIB)
    first, second = sorted((tmp_path / "out").iterdir())
    assert (first.name, second.name) == ("p_1.tar.gz", "p_2.tar.gz")
    names = []
    for path in (first, second):
        assert path.stat().st_size < 500 * KIB
        with tarfile.open(path) as archive:
            names += archive.getnames()
            for name in archive.getnames():
                assert archive.extractfile(name).read() == (tmp_path / name).read_bytes()
    assert names + left == ["f0", "f1", "f2", "f3", "f4"] and left


def test_a_file_that_is_too_large_is_left_out_and_others_are_not(tmp_path):
    files = [noise(tmp_path / "large", 1200 * KIB), noise(tmp_path / "small", KIB)]
    assert pack(tmp_path / "a.tar.gz", files, largest=900 * KIB) == files[:1]
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        assert archive.getnames() == ["small"]
    (tmp_path / "even").write_bytes(b"0" * (2 << 20))
    assert pack(tmp_path / "b.tar.gz", [(tmp_path / "even", "even")], largest=900 * KIB) == []


def test_no_files_make_no_archive(tmp_path):
    assert pack(tmp_path / "a.tar.gz", []) == [] and not list(tmp_path.iterdir())


def test_the_end_of_a_file(tmp_path):
    (tmp_path / "log").write_bytes(b"abc\xff")
    assert tail(tmp_path / "log", 2) == "c\ufffd" and tail(tmp_path / "log", 99) == "abc\ufffd"
