"""Many processes: in order, stopped as one, and Ctrl-C is the parent's alone."""

import functools
import operator
import os
import signal
import subprocess
import sys
from pathlib import Path

from trnet.parallel import imap

LONG = """
import os
import time
from trnet.parallel import imap

def slow(item):
    try:
        os.write(1, b"at work\\n")
        time.sleep(60)
    finally:
        os.write(1, b"cleaned up\\n")

if __name__ == "__main__":
    try:
        list(imap(slow, range(4), 2, "slow"))
    except KeyboardInterrupt:
        print("stopped", flush=True)
"""


def test_results_come_in_order_whatever_the_number_of_processes():
    twice = functools.partial(operator.mul, 2)
    assert list(imap(twice, range(9), 1, "twice")) == list(imap(twice, range(9), 2, "twice")) == list(range(0, 18, 2))


def test_ctrl_c_reaches_the_parent_alone(tmp_path):
    script = tmp_path / "long.py"
    script.write_text(LONG)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stdout.readline() == "at work\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and workers
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1] == "stopped" and "Traceback" not in err
    assert out.count("cleaned up") == 1 + out.count("at work") <= 2  # what was at work, and nothing after it
