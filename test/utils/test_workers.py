"""Many processes: in order, stopped as one, and Ctrl-C is the parent's alone."""

import functools
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from trnet.utils.errors import TrnetError
from trnet.utils.workers import Workers, imap, own_share, run_all, sendable

CPU = torch.device("cpu")
LONG = """
import os
import sys
import time
from trnet.utils.workers import imap

def say(text):
    log = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, text)
    os.close(log)

def slow(item):
    try:
        say(b"at work.")
        time.sleep(60)
    finally:
        say(b"cleaned up.")

if __name__ == "__main__":
    try:
        list(imap(slow, range(4), 2, "slow"))
    except KeyboardInterrupt:
        say(b"stopped.")
"""


def test_results_come_in_order_whatever_the_number_of_processes():
    twice = functools.partial(operator.mul, 2)
    assert list(imap(twice, range(9), 1, "twice")) == list(imap(twice, range(9), 2, "twice")) == list(range(0, 18, 2))


def test_a_worker_that_dies_is_one_line(capfd):
    with pytest.raises(TrnetError, match="die: a worker process was killed"):
        list(imap(os._exit, [3] * 4, 2, "die"))
    assert "Traceback" not in capfd.readouterr().err


def test_a_worker_that_cannot_begin_says_why(capfd):
    """Not that the pool is broken, with the traceback of the worker on the screen."""
    with pytest.raises(ValueError, match="invalid literal for int"):
        list(imap(abs, [1] * 4, 2, "begin", initializer=int, initargs=("x",)))
    assert "Traceback" not in capfd.readouterr().err


def test_an_exception_that_no_other_process_can_read_says_the_same():
    class Local(Exception):
        pass

    error = TrnetError("a line")
    assert sendable(error) is error
    sent = sendable(Local("why"))
    assert type(sent) is RuntimeError and str(sent) == "Local: why"


def test_processes_that_stay():
    pid = "__import__('os').getpid()"
    with Workers(1) as here, Workers(2) as there:
        assert there.map(abs, [-1, 2, -3]) == here.map(abs, [-1, 2, -3]) == [1, 2, 3]
        pids = set(there.map(eval, [pid] * 20) + there.map(eval, [pid] * 20))
        assert os.getpid() not in pids and len(pids) <= 2


def test_workers_are_children_of_one_server_and_have_the_environment_of_now(monkeypatch):
    parents, said = set(), []
    for word in ("first", "second"):
        monkeypatch.setenv("TRNET_TEST_WORD", word)
        with Workers(2) as workers:
            said += workers.map(eval, ["__import__('os').environ['TRNET_TEST_WORD']"])
            parents |= set(workers.map(eval, ["__import__('os').getppid()"] * 20))
    assert said == ["first", "second"] and len(parents) == 1 and os.getpid() not in parents


def test_processes_that_stay_and_die_are_one_line(capfd):
    with pytest.raises(TrnetError, match="scores: a worker process was killed"), Workers(2, "scores") as workers:
        workers.map(os._exit, [3, 3])
    assert "Traceback" not in capfd.readouterr().err


def test_ctrl_c_breaks_off_what_is_at_work_and_ends_without_a_traceback(tmp_path):
    (tmp_path / "long.py").write_text(LONG)
    log = tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "long.py"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and workers
    _, err = process.communicate(timeout=60)
    said = log.read_text().split(".")[:-1]
    assert said[-1] == "stopped" and "Traceback" not in err
    assert said.count("at work") == said.count("cleaned up") in (1, 2)  # items 3 and 4 were not begun


def test_a_job_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = []

    def work(job, position):
        assert position is None
        if job == 2:
            raise TrnetError("job 2 is bad")
        if job == 3:
            raise ZeroDivisionError("a bug")
        done.append(job)

    with pytest.raises(TrnetError, match="job 2 is bad .*2 of 4"):
        run_all(work, [1, 2, 3, 4], 1, CPU, 1, "jobs")
    assert done == [1, 4]
    out, err = capsys.readouterr()
    assert "failed: job 2 is bad" in out and "ZeroDivisionError" in out and "Traceback" not in err


def test_a_full_disk_stops_all_jobs():
    done = []

    def work(job, _position):
        done.append(job)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run_all(work, [1, 2], 1, CPU, 1, "jobs")
    assert done == [1]


def test_the_shares_of_all_processes_are_all_jobs_once(monkeypatch):
    assert own_share(range(7)) == list(range(7))
    monkeypatch.setenv("WORLD_SIZE", "3")
    shares = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        shares += own_share(range(7))
    assert sorted(shares) == list(range(7))
