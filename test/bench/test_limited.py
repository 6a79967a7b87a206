"""Commands with a limit: how they end is known, and nothing of them is left."""

import os
import sys
import time

import pytest

from trnet.bench.limited import Command, run_together

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)', 'left-over'])"
DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('here', flush=True); time.sleep(60)"


@pytest.fixture
def command(tmp_path):
    """command(code): Python code with a log of its own."""

    def make(code: str) -> Command:
        return Command([sys.executable, "-c", code], tmp_path, os.environ, tmp_path / "logs" / "x.log")

    return make


def running(word: str) -> bool:
    """Whether a process with this word in its arguments is there."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as stream:
                if word.encode() in stream.read().split(b"\0"):
                    return True
        except OSError:
            continue
    return False


def test_each_has_its_status_and_its_output_is_in_the_log(command, tmp_path):
    ended = run_together([command("print('a')"), command("raise SystemExit(3)")], 60, lambda: None)
    assert [e.status for e in ended] == [0, 3] and all(0 < e.seconds < 60 for e in ended)
    text = (tmp_path / "logs/x.log").read_text()
    assert "\na\n" in text and "SystemExit(3)" in text


@pytest.mark.skipif(not os.path.exists("/proc/self/cmdline"), reason="needs /proc")
def test_at_the_limit_children_end_too_and_the_caller_is_called_meanwhile(command, monkeypatch):
    monkeypatch.setattr("trnet.bench.limited.TICK_S", 0.2)
    ticks, began = [], time.monotonic()
    (ended,) = run_together([command(CHILD)], 1.5, lambda: ticks.append(1))
    assert ended.status is None and 1.5 < time.monotonic() - began < 30 and ticks
    assert not running("left-over")


def test_one_that_does_not_listen_is_killed(command, monkeypatch):
    monkeypatch.setattr("trnet.bench.limited.GRACE_S", 0.3)
    (ended,) = run_together([command(DEAF)], 0.5, lambda: None)
    assert ended.status is None and ended.seconds < 30


@pytest.mark.skipif(not os.path.exists("/proc/self/cmdline"), reason="needs /proc")
def test_whatever_stops_the_caller_stops_the_commands(command, monkeypatch):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr("trnet.bench.limited.TICK_S", 0.5)
    with pytest.raises(KeyboardInterrupt):
        run_together([command(CHILD.replace("left-over", "left-alone"))], 60, stop)
    assert not running("left-alone")
