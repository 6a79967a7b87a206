"""Paths in scp files: beside the scp, else from the working directory; what is no file is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from trnet.audio.crop import read_clip
from trnet.kaldi.data_dir import DataDir, write_data_dir
from trnet.kaldi.paths import audio_problem, entry_for, resolve
from trnet.kaldi.validate import validate_data_dir
from trnet.utils.errors import TrnetError


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The working directory, with a.wav in it and in data."""
    (tmp_path / "data").mkdir()
    for name in ("a.wav", "b.wav", "data/a.wav"):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_beside_the_list_comes_first_then_the_working_directory(here):
    scp = Path("data/wav.scp")
    assert resolve("a.wav", scp).read_text() == "data/a.wav"
    assert resolve("b.wav", scp).read_text() == "b.wav"
    assert resolve("none.wav", scp) == Path("data/none.wav")
    assert resolve(str(here / "b.wav"), scp) == here / "b.wav"
    assert resolve("data/a.wav", scp).read_text() == "data/a.wav"  # as older versions wrote it


def test_not_all_folders_above_are_searched(here):
    folder = here / "1/2/3/4"
    folder.mkdir(parents=True)
    (here / "1/c.wav").write_text("c.wav")
    assert resolve("b.wav", here / "1/2/3/wav.scp").read_text() == "b.wav"  # from the working directory
    assert resolve("c.wav", here / "1/2/3/4/wav.scp").read_text() == "c.wav"
    deep = here / "1/2/3/4/5/wav.scp"
    assert resolve("c.wav", deep) == deep.parent / "c.wav"


def test_a_file_is_named_from_the_lists_folder_and_absolute_paths_stay(here):
    scp = Path("data/wav.scp")
    assert entry_for(Path("b.wav"), scp) == "../b.wav" and entry_for(Path("data/a.wav"), scp) == "a.wav"
    assert entry_for(here / "b.wav", scp) == str(here / "b.wav")
    (here / "far").mkdir()
    (here / "deep/er").mkdir(parents=True)
    (here / "far/data").symlink_to(here / "deep/er")
    entry = entry_for(Path("b.wav"), Path("far/data/wav.scp"))  # ../../b.wav is another place behind the link
    assert resolve(entry, Path("far/data/wav.scp")).read_text() == "b.wav"
    for name in ("a\nb.wav", "cat a.wav |"):
        with pytest.raises(TrnetError, match="rename it"):
            entry_for(Path(name), scp)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("a.wav", ""),
        ("none.wav", "none.wav does not exist"),
        ("raw_wav.1.ark:123", "place in an archive"),
        ("raw_wav.1.ark:123[0:9]", "place in an archive"),
        (".", "is a folder"),
        ("/dev/null", "is a pipe or device"),
    ],
)
def test_what_names_no_audio_file_is_said(here, entry, message):
    found = audio_problem(entry, Path("data/wav.scp"))
    assert found.startswith(message) if not message else message in found


def test_a_data_dir_is_read_from_anywhere_and_can_be_moved(tmp_path, monkeypatch):
    from tiny import RATE, hiss, write_wav

    write_wav(tmp_path / "data/set/wav/A-1.wav", hiss(1, 800))
    tables = {"wav.scp": {"A-1": "wav/A-1.wav"}, "utt2spk": {"A-1": "A"}, "utt2dur": {"A-1": "0.05"}}
    data = write_data_dir(tmp_path / "data/set", tables)
    monkeypatch.chdir("/")
    assert not validate_data_dir(data.path) and np.array_equal(read_clip(data.clip("A-1"), RATE), hiss(1, 800))
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    moved = DataDir(tmp_path / "elsewhere/set")
    assert not validate_data_dir(moved.path) and np.array_equal(read_clip(moved.clip("A-1"), RATE), hiss(1, 800))
    (moved.path / "wav.scp").write_text("A-1 foo.ark:17\n")
    with pytest.raises(TrnetError, match="wav.scp: A-1: foo.ark:17 is a place in an archive"):
        DataDir(moved.path).clip("A-1")
