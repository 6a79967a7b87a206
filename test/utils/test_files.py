"""Files are whole or not there, whatever stops the writing; commands say so in one line."""

import errno
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from trnet.audio.crop import crop
from trnet.audio.reading import read_audio, write_audio
from trnet.runs.checkpoint import save_checkpoint
from trnet.utils import files
from trnet.utils.errors import TrnetError, nearest, one_line_errors
from trnet.utils.files import read_bytes, whole_file, write_text


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_stopped_write_leaves_neither_half_a_file_nor_a_changed_one(tmp_path, stop):
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("as it was")
    for path in (old, new):
        with pytest.raises(stop):
            with whole_file(path) as partial:
                partial.write_text("half")
                assert partial.exists() and partial.suffix == ".txt"
                raise stop
    assert old.read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]


def test_a_whole_write_replaces_the_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "a" / "b" / "table"
    write_text(path, "one\n")
    write_text(path, "zażółć\n")
    assert path.read_bytes() == "zażółć\n".encode()
    assert [p.name for p in path.parent.iterdir()] == ["table"]


def test_a_link_that_lies_in_wait_is_not_followed(tmp_path, monkeypatch):
    """Whatever the name that a random choice comes to: what is there already is not opened."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    names = iter(["taken", "free"])
    monkeypatch.setattr(tempfile, "_get_candidate_names", lambda: names)
    (tmp_path / ".partial-taken").symlink_to(victim)
    write_text(tmp_path / "table", "new")
    assert victim.read_text() == "precious" and (tmp_path / "table").read_text() == "new"
    assert not (tmp_path / "table").is_symlink()


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_folder_after(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def flushed(handle):
        done.append(("flush", os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def renamed(old, new):
        done.append(("rename", str(old)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    save_checkpoint(tmp_path / "a.pt", {"x": 1})
    (first, partial), (second, same), (third, folder) = done
    assert (first, second, third) == ("flush", "rename", "flush")
    assert partial == same and folder == str(tmp_path)


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "by_hand").touch()
    write_text(tmp_path / "by_us", "")
    assert (tmp_path / "by_us").stat().st_mode == (tmp_path / "by_hand").stat().st_mode


def test_reading_has_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SILENT_S", 0.2)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(TrnetError, match="fifo"):
        read_bytes(tmp_path / "fifo")
    with pytest.raises(TrnetError, match="/dev/zero"):
        read_bytes(Path("/dev/zero"), largest=1 << 21)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path)
    (tmp_path / "text").write_text("x" * 11)
    assert len(read_bytes(tmp_path / "text", largest=11)) == 11
    with pytest.raises(TrnetError, match="text"):
        read_bytes(tmp_path / "text", largest=10)


def test_a_pipe_of_the_shell_is_read_to_its_end():
    code = "import sys, pathlib, trnet.utils.files as f; print(f.read_text(pathlib.Path(sys.argv[1])))"
    command = ["bash", "-c", f'"{sys.executable}" -c "{code}" <(echo one; sleep 0.2; echo two)']
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.stdout.split() == ["one", "two"], done.stderr


WRITERS = {
    "table": lambda path: write_text(path, "a b\n"),
    "checkpoint.pt": lambda path: save_checkpoint(path, {"weights": torch.zeros(100_000)}),
    "short.wav": lambda path: write_audio(path, np.zeros(100, np.float32), 16000),
    "long.wav": lambda path: write_audio(path, np.zeros(50_000, np.float32), 16000),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_said_as_such_and_leaves_nothing(tmp_path, disk_full, name):
    path = tmp_path / name
    disk_full(path)
    with pytest.raises(OSError) as caught:
        WRITERS[name](path)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
    WRITERS[name](path)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["table", "checkpoint.pt"])
def test_a_full_disk_is_one_line_on_stderr(tmp_path, disk_full, fails, name):
    disk_full(tmp_path / name)
    line = fails(one_line_errors(lambda args: WRITERS[name](tmp_path / name)), [])
    assert f"{tmp_path / name}: no space left on the disk" in line and "run the same command again" in line


WAV_ON_A_FULL_DISK = """
import sys
from pathlib import Path
import numpy as np
from trnet.utils import files
from trnet.audio.reading import write_audio
from trnet.utils.errors import one_line_errors
path = Path(sys.argv[1])
full = path.with_name("full")
full.symlink_to("/dev/full")
files._new_file = lambda path: full
sys.exit(one_line_errors(lambda: write_audio(path, np.zeros(50_000, np.float32), 16000))())
"""


def test_a_wav_on_a_full_disk_is_one_line_on_stderr(tmp_path):
    """In a process of its own, as pytest keeps the tracebacks of callbacks from stderr."""
    command = [sys.executable, "-c", WAV_ON_A_FULL_DISK, str(tmp_path / "a.wav")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_commands_turn_whatever_is_raised_into_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def main(error):
        raise error

    run = one_line_errors(main)
    assert run(TrnetError("first\n  second")) == 1
    assert capsys.readouterr().err == "error: first second\n"
    assert run(KeyboardInterrupt()) == 130
    assert "run the same command again to go on" in capsys.readouterr().err
    assert run(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore of it")) == 1
    assert capsys.readouterr().err.startswith("error: CUDA out of memory. Tried to allocate 2 GiB. ")
    for number in (errno.ELOOP, errno.ENXIO, errno.ENOENT, errno.EISDIR):
        assert run(OSError(number, os.strerror(number), "there")) == 1
        assert capsys.readouterr().err.startswith(f"error: there: {os.strerror(number)}; ")
    for bug in (ValueError("bug"), RuntimeError("bug"), PermissionError(errno.EACCES, "no")):
        assert run(bug) == 1
        err = capsys.readouterr().err
        assert err.startswith(f"error: unexpected {type(bug).__name__}: ") and len(err.splitlines()) == 1
        log = Path(re.search(r"traceback is in (\S+);", err)[1])
        assert stat.S_IMODE(log.stat().st_mode) == 0o600 and log.parent.parent == tmp_path
        assert "Traceback (most recent call last)" in log.read_text() and "raise error" in log.read_text()
    monkeypatch.setenv("TRNET_DEBUG", "1")
    assert run(ValueError("bug")) == 1 and "Traceback" in capsys.readouterr().err
    assert one_line_errors(lambda: None)() == 0 and one_line_errors(lambda: 3)() == 3


def test_a_folder_or_a_place_that_takes_no_file_is_named(tmp_path, monkeypatch):
    for read in (read_bytes, files.read_text):
        with pytest.raises(IsADirectoryError) as caught:
            read(tmp_path)
        assert caught.value.filename == str(tmp_path)

    def refuse(**_):
        raise PermissionError(errno.EACCES, "Permission denied", "/partial-name")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(PermissionError) as caught:
        write_text(tmp_path / "table", "")
    assert caught.value.filename == str(tmp_path / "table")


def test_closed_streams_are_no_failure_and_no_file_gets_their_number(tmp_path):
    code = (
        "import os, sys\nfrom trnet.utils.errors import one_line_errors\n"
        "def main():\n    print(os.open('file', os.O_CREAT))\n    print('told', file=sys.stderr)\n"
        "    raise OSError(28, 'full')\nsys.exit(one_line_errors(main)())"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    shell = 'exec "$@" <&- 2>&-'
    command = ["bash", "-c", shell, "bash", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and int(done.stdout) > 2 and not (tmp_path / "file").read_bytes()


def test_the_nearest_name_is_offered_only_if_it_is_near():
    assert nearest("trnett", ["trnet", "baseline_c"]) == "; did you mean 'trnet'? Known: trnet baseline_c"
    assert nearest("xyz", ["trnet"]) == ". Known: trnet"


def test_audio_comes_back_to_the_bit_also_above_full_scale(tmp_path):
    samples = np.array([0.0, 1.5, -2.25, 1e-7, 0.1], np.float32)
    write_audio(tmp_path / "a.wav", samples, 16000)
    assert np.array_equal(read_audio(tmp_path / "a.wav", 16000), samples)


def test_audio_of_any_form_is_read_as_mono_at_the_rate_asked_for(tmp_path):
    time = np.arange(24000) / 48000
    stereo = np.stack([0.5 * np.sin(2 * np.pi * 440 * time), np.zeros_like(time)], axis=1)
    soundfile.write(tmp_path / "a.flac", stereo, 48000)
    got = read_audio(tmp_path / "a.flac", 16000)
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
    assert got.dtype == np.float32 and got.shape == (8000,)
    assert np.abs(got - expected)[100:-100].max() < 1e-3


def test_a_segment_is_cut_out_of_its_recording(tmp_path):
    samples = np.arange(16000, dtype=np.float32) / 16000
    write_audio(tmp_path / "a.wav", samples, 16000)
    assert np.array_equal(read_audio(tmp_path / "a.wav", 16000, 0.25, 0.5), samples[4000:8000])


@pytest.mark.parametrize("kind", ["absent", "empty", "text", "nan"])
def test_audio_that_cannot_be_used_is_named(tmp_path, kind):
    path = tmp_path / "bad.wav"
    if kind == "empty":
        soundfile.write(path, np.zeros(0, np.float32), 16000)
    elif kind == "text":
        path.write_text("no audio")
    elif kind == "nan":
        soundfile.write(path, np.array([0.1, np.nan], np.float32), 16000, subtype="FLOAT")
    with pytest.raises(TrnetError, match="bad.wav"):
        read_audio(path, 16000)


def test_the_heard_span_is_cut_and_on_request_repeated():
    samples = np.arange(5)
    assert crop(samples, 3, "none").tolist() == [0, 1, 2]
    assert crop(samples, 3, "repeat").tolist() == [0, 1, 2]
    assert crop(samples, 12, "none").tolist() == [0, 1, 2, 3, 4]
    assert crop(samples, 12, "repeat").tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
