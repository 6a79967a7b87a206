"""Commands of a wav.scp: off unless allowed, without a shell, for a bounded time, and named where they fail."""

import os
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny import CONFIG, RATE, hiss, speech_dir, write_wav

from trnet.audio import pipes
from trnet.audio.crop import read_clip
from trnet.audio.pipes import check_allowed, parse, piped
from trnet.bin import make_fbank, simulate, validate_data_dir
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir, write_table
from trnet.utils.errors import TrnetError

X = hiss(1, 8000)


@pytest.mark.parametrize(
    ("entry", "programs"),
    [
        ("sph2pipe -f wav a.sph |", [["sph2pipe", "-f", "wav", "a.sph"]]),
        (
            "flac -cds 'my talk.flac' | sox - -t wav - |",
            [["flac", "-cds", "my talk.flac"], ["sox", "-", "-t", "wav", "-"]],
        ),
        (r"cat a\ b.wav '$x;y' |", [["cat", "a b.wav", "$x;y"]]),
        ("cat \"a|b\" 'c|d' |", [["cat", "a|b", "c|d"]]),
    ],
)
def test_a_command_is_split_as_a_shell_splits_words(entry, programs):
    assert parse(entry) == programs


@pytest.mark.parametrize(
    "command",
    [
        *("cat a > b |", "cat < a |", "cat a; rm b |", "a && b |", "cat $HOME/a |", 'cat "$HOME" |', "cat `a` |"),
        *("(cat a) |", "cat a & |", "cat a\ncat b |", 'cat "`a`" |'),
    ],
)
def test_what_needs_a_shell_is_refused(command, tmp_path):
    with pytest.raises(TrnetError, match="^utt1: .* needs a shell"):
        check_allowed(command, True, "utt1")


@pytest.mark.parametrize("command", ["|", "a | | b |", "cat 'a |", "cat a | b", 'cat "a |', "a || b |"])
def test_what_is_no_pipeline_is_refused(command):
    with pytest.raises(TrnetError, match="^utt1: its command"):
        check_allowed(command, True, "utt1")


def python(code: str) -> str:
    return f"{sys.executable} -c {shlex.quote(code)}"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program a |", "utt1: no-such-program cannot be started"),
        ("cat /none | cat |", "utt1: cat failed .exit status 1: cat: /none"),
        (python("import os; os.kill(os.getpid(), 11)") + " |", "utt1: .*python.* failed .signal 11"),
        (python("print(1)") + " | no-such-program |", "utt1: no-such-program cannot be started"),
    ],
)
def test_a_program_that_fails_is_named_with_the_utterance(command, message):
    with pytest.raises(TrnetError, match=message):
        piped(command, "utt1")


def test_a_program_that_does_not_end_is_killed_with_its_children(monkeypatch, tmp_path):
    monkeypatch.setattr(pipes, "LIMIT_S", 4.0)
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    started = time.monotonic()
    with pytest.raises(TrnetError, match="utt1: its command did not end in 4 s"):
        piped(python(parent) + " | cat |", "utt1")
    assert time.monotonic() - started < 30
    number = int((tmp_path / "pid").read_text())
    for _ in range(200):  # init has to take it away
        if not Path(f"/proc/{number}").exists() or " Z " in Path(f"/proc/{number}/stat").read_text():
            return
        time.sleep(0.01)
    raise AssertionError("the child lives on")


def test_what_a_program_writes_is_bounded(monkeypatch):
    monkeypatch.setattr(pipes, "LARGEST", 1 << 20)
    with pytest.raises(TrnetError, match="utt1: its command writes more than"):
        piped("cat /dev/zero |", "utt1")


def test_complaints_fill_no_pipe_and_an_early_end_is_none():
    noisy = python("import sys; sys.stderr.write('x' * 300000); print('done')")
    with piped(f"{noisy} |", "utt1") as stream:
        assert stream.read() == b"done\n"
    with piped("cat /dev/zero | head -c 10 |", "utt1") as stream:
        assert stream.read() == bytes(10)


@pytest.fixture
def data(tmp_path) -> DataDir:
    """A data dir of one file and one command."""
    data = speech_dir(tmp_path / "data", "tiny", {"A-neu_1": X, "A-neu_2": hiss(2, 8000)})
    wavs = {utt: str(data.clip(utt).path) for utt in data.utts}
    write_table(data.path / "wav.scp", {**wavs, "A-neu_1": f"cat {wavs['A-neu_1']} | cat |"})
    return DataDir(data.path)


def test_a_data_dir_with_commands_is_read_where_they_are_allowed(data, capsys):
    with pytest.raises(TrnetError, match="wav.scp: A-neu_1: is a pipe; give --allow-pipes true"):
        data.clip("A-neu_1")
    assert np.array_equal(read_clip(DataDir(data.path, allow_pipes=True).clip("A-neu_1"), RATE), X)
    assert validate_data_dir.main([str(data.path)]) == 1
    assert "wav.scp:1: A-neu_1: is a pipe; give --allow-pipes true" in capsys.readouterr().err
    assert validate_data_dir.main([str(data.path), "--allow-pipes", "true"]) == 0


def test_what_a_command_writes_is_held_against_utt2dur_and_its_header(data):
    path = DataDir(data.path, allow_pipes=True).clip("A-neu_2").path
    write_table(data.path / "wav.scp", {"A-neu_1": f"head -c 5000 {path} |", "A-neu_2": f"cat {path} |"})
    write_table(data.path / "utt2dur", {"A-neu_1": "0.5", "A-neu_2": "0.7"})
    again = DataDir(data.path, allow_pipes=True)
    for utt, message in (("A-neu_1", "A-neu_1: holds .* header states"), ("A-neu_2", "A-neu_2: .*utt2dur says 0.7")):
        with pytest.raises(TrnetError, match=message):
            read_clip(again.clip(utt), RATE)


def test_stages_take_the_option(data, tmp_path, fails, capfd):
    (tmp_path / "conf.yaml").write_text(yaml.safe_dump(CONFIG))
    noise = ["--config", str(tmp_path / "conf.yaml"), "--corpus-data", str(data.path), "--noises", "esc"]
    speech_dir(tmp_path / "data", "noise_esc", {"N-neu_1": X, "O-neu_1": hiss(3, 8000)})
    write_table(tmp_path / "data/noise_esc/utt2src", {"N-neu_1": "N", "O-neu_1": "O"})
    assert "--allow-pipes true" in fails(simulate.main, noise)
    assert simulate.main([*noise, "--allow-pipes", "true"]) == 0
    assert "neither true nor false" in fails(simulate.main, [*noise, "--allow-pipes", "1"])
    with pytest.raises(SystemExit):
        make_fbank.main(["--help"])
    assert "WARNING" in capfd.readouterr().out


def test_enhanced_audio_may_come_from_commands(tmp_path):
    path = write_wav(tmp_path / "a.wav", X)
    write_table(tmp_path / "e.scp", {"utt1": f"cat {path} |", "utt2": "a.wav"})
    conf = {"scp": str(tmp_path / "e.scp")}
    with pytest.raises(TrnetError, match="e.scp: utt1: is a pipe; give frontend_conf.allow_pipes: true"):
        build_frontend({"frontend": "enhanced_scp", "frontend_conf": conf})
    frontend = build_frontend({"frontend": "enhanced_scp", "frontend_conf": {**conf, "allow_pipes": True}})
    import torch

    for utt in ("utt1", "utt2"):
        assert np.array_equal(frontend.enhance_utterance(utt, torch.zeros(8000)).numpy(), X)
    before = frontend.fingerprint()
    assert "allow_pipes" not in before["conf"]
    write_table(tmp_path / "e.scp", {"utt1": f"cat {path} | cat |", "utt2": "a.wav"})
    changed = build_frontend({"frontend": "enhanced_scp", "frontend_conf": {**conf, "allow_pipes": True}})
    assert changed.fingerprint() != before


def test_no_shell_ever_runs(tmp_path, monkeypatch):
    """What a shell would do with it, a program gets as a word."""
    monkeypatch.chdir(tmp_path)
    with piped("echo * ~ {a,b} '; touch ran' |", "utt1") as stream:
        assert stream.read() == b"* ~ {a,b} ; touch ran\n"
    assert not os.listdir(tmp_path)
