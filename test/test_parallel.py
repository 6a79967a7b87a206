"""Many processes: in order, stopped as one, and Ctrl-C is the parent's alone."""

import functools
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from trnet.parallel import imap

LONG = """
import os
import sys
import time
from trnet.parallel import imap

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


def test_ctrl_c_breaks_off_what_is_at_work_and_ends_without_a_traceback(tmp_path):
    (tmp_path / "long.py").write_text(LONG)
    log = tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "long.py"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and workers
    _, err = process.communicate(timeout=60)
    said = log.read_text().split(".")[:-1]
    assert said[-1] == "stopped" and "Traceback" not in err
    assert said.count("at work") == said.count("cleaned up") in (1, 2)  # items 3 and 4 were not begun
