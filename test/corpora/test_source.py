"""Walking through a corpus's folder, and its tables."""

import os

import pytest

from trnet.corpora.source import matching, read_csv
from trnet.utils.errors import TrnetError


@pytest.fixture
def tree(tmp_path):
    for name in ("S2/b.txt", "S2/._b.txt", "S1/a.txt", "S1/a.wav", "S10/c.txt", ".S3/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "S4").write_text("no folder")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("S[0-9]/*.txt", ["S1/a.txt", "S2/b.txt"]),
        ("S*/*.txt", ["S1/a.txt", "S10/c.txt", "S2/b.txt"]),
        ("S1/a.wav", ["S1/a.wav"]),
        ("S1/none/*", []),
        ("*/?.TXT", []),
        ("*3/*", []),
    ],
)
def test_a_pattern_matches_level_by_level_in_order(tree, pattern, found):
    assert [str(path.relative_to(tree)) for path in matching(tree, pattern)] == found


def test_the_folder_itself(tree):
    assert matching(tree, ".") == [tree] and matching(tree / "nowhere", "*") == []


def test_a_folder_that_may_not_be_read_is_an_error(tree, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(PermissionError, match="S1"):
        matching(tree, "S1/*.txt")


@pytest.mark.parametrize(
    ("options", "text", "rows"),
    [
        ({}, 'a, b\n"x, y",\n\n 1 ,2\n', [{"a": "x, y", "b": ""}, {"a": "1", "b": "2"}]),
        ({"separator": "\t", "quotes": False}, 'a\tb\n"x\ty"\n', [{"a": '"x', "b": 'y"'}]),
    ],
)
def test_tables(tmp_path, options, text, rows):
    (tmp_path / "t.csv").write_text(text)
    assert read_csv(tmp_path / "t.csv", ("a", "b"), **options) == rows


@pytest.mark.parametrize(("text", "where"), [("", ":1: .*'a'"), ("a,b\n", "no rows"), ("a,b\n1,2\n3\n", ":3: 1 cells")])
def test_broken_tables(tmp_path, text, where):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(TrnetError, match=f"t.csv.*{where}"):
        read_csv(tmp_path / "t.csv", ("a", "b"))
