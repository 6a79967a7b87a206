"""One process at a time in a folder."""

import subprocess
import sys

import pytest

from trnet.errors import TrnetError
from trnet.lock import only_one

HOLD = """
import sys
from pathlib import Path
from trnet.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_so_and_the_lock_ends_with_its_holder(tmp_path):
    folder = tmp_path / "exp/run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(TrnetError, match="exp/run: another process is at work there"), only_one(folder):
        pytest.fail("two at a time")
    with only_one(tmp_path / "exp/other"):
        pass
    holder.kill()  # no chance to let go of it
    holder.wait()
    with only_one(folder):
        assert not folder.exists()
