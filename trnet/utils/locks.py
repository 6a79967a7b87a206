"""One process at a time in a folder, by a lock of the operating system, which ends with its process."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from trnet.utils.errors import TrnetError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # of some network file systems
logger = logging.getLogger(__name__)
_warned: set[Path] = set()


@contextmanager
def only_one(folder: Path, wait_s: float = 0) -> Iterator[None]:
    """Hold the lock of `folder`, the empty file ``.<name>.lock`` beside it, during the block; the file stays.

    On a file system without locks a warning is logged once, and the block runs without one.

    Args:
        folder: what is locked; it need not exist.
        wait_s: seconds to wait for another process to release it.

    Raises:
        TrnetError: If another process has it, OSError if the file cannot be made or is a symbolic link.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_of(folder), fallback_to_soft=False)
    if not _acquired(lock, folder, wait_s):
        raise TrnetError(f"{folder}: another process is at work there; wait until it ends, or stop it")
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: FileLock, folder: Path, wait_s: float = 0) -> bool:
    """Take a lock; False if another holds it, True also where the file system has no locks."""
    try:
        lock.acquire(timeout=wait_s, poll_interval=0.1)
    except Timeout:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        if folder.parent not in _warned:
            _warned.add(folder.parent)
            why = f"its file system has no locks ({error.strerror})"
            logger.warning("%s: %s; run only one command at a time on what lies there", folder.parent, why)
    return True


def lock_of(folder: Path) -> Path:
    """The lock file of a folder."""
    return folder.parent / f".{folder.name}.lock"


def is_locked(lock: Path) -> bool:
    """Whether another process, or another call of this one, holds a lock file."""
    file_lock = FileLock(lock, fallback_to_soft=False)
    try:
        return not _acquired(file_lock, lock)
    finally:
        file_lock.release()
