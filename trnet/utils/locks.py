"""One process at a time in a folder: a second one is told so, instead of spoiling what the first one writes."""

import errno
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trnet.utils.errors import TrnetError

NO_LOCKS = (
    errno.ENOLCK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EINVAL,
)  # some network file systems have none
_warned: set[Path] = set()


@contextmanager
def only_one(folder: Path, wait_s: float = 0) -> Iterator[None]:
    """Hold the lock of `folder`, the file ``.<name>.lock`` beside it, for the length of the block.

    The operating system lets go of it when the process ends, however it ends; the empty file stays. On a file system
    without locks that is said once, and nothing is held: it is then for the user to run one command at a time.

    Args:
        folder: what is locked; it need not be there.
        wait_s: seconds to wait for another process to let go of it.

    Raises: TrnetError if another process holds it.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _opened(lock_of(folder)) as stream:
        until = time.monotonic() + wait_s
        while True:
            if _try_lock(stream, folder):
                break
            if time.monotonic() >= until:
                raise TrnetError(f"{folder}: another process is at work there; wait until it ends, or stop it")
            time.sleep(0.1)
        yield


def _opened(lock: Path) -> IO:
    """The file of a lock, made if need be; a link is not followed, and a pipe in its place is not waited for."""
    return open(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "rb", buffering=0)


def _try_lock(stream: IO, folder: Path) -> bool:
    """Take the lock of an open file; False if another holds it, True also where the file system has no locks."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        if folder.parent not in _warned:
            _warned.add(folder.parent)
            print(
                f"warning: {folder.parent}: its file system has no locks ({error.strerror}); "
                "run only one command at a time on what lies there",
                file=sys.stderr,
            )
    return True


def lock_of(folder: Path) -> Path:
    """The file that is locked for a folder."""
    return folder.parent / f".{folder.name}.lock"


def is_held(lock: Path) -> bool:
    """Whether another process holds such a file, or this one by another call."""
    with _opened(lock) as stream:
        return not _try_lock(stream, lock)
