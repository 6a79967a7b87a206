"""One process at a time in a folder."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from trnet.utils.errors import TrnetError
from trnet.utils.locks import is_locked, lock_of, only_one

HOLD = """
import sys
from pathlib import Path
from trnet.utils.locks import only_one
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


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_once_and_work_goes_on(tmp_path, monkeypatch, capsys, reason):
    def no_locks(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    for run in ("run1", "run2"):
        with only_one(tmp_path / "exp" / run):
            assert not is_locked(lock_of(tmp_path / "exp" / run))
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 1 and f"{tmp_path}/exp: " in warnings[0]


def test_a_lock_that_fails_otherwise_is_an_error(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError), only_one(tmp_path / "exp"):
        pytest.fail("held")


def test_a_pipe_or_a_link_in_the_place_of_the_lock_is_no_trap(tmp_path):
    os.mkfifo(lock_of(tmp_path / "run1"))
    with only_one(tmp_path / "run1"), pytest.raises(TrnetError), only_one(tmp_path / "run1"):
        pytest.fail("two at a time")
    lock_of(tmp_path / "run2").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), only_one(tmp_path / "run2"):
        pytest.fail("held")
    assert not (tmp_path / "victim").exists()
