"""One process at a time in a folder: a second one is told so, instead of spoiling what the first one writes."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trnet.errors import TrnetError


@contextmanager
def only_one(folder: Path, wait_s: float = 0) -> Iterator[None]:
    """Hold the lock of `folder`, the file ``.<name>.lock`` beside it, for the length of the block.

    The operating system lets go of it when the process ends, however it ends; the empty file stays.

    Args:
        folder: what is locked; it need not be there.
        wait_s: seconds to wait for another process to let go of it.

    Raises: TrnetError if another process holds it.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(lock_of(folder), "a") as stream:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise TrnetError(
                        f"{folder}: another process is at work there; wait until it ends, or stop it"
                    ) from None
                time.sleep(0.1)
        yield


def lock_of(folder: Path) -> Path:
    """The file that is locked for a folder."""
    return folder.parent / f".{folder.name}.lock"


def is_held(lock: Path) -> bool:
    """Whether another process holds such a file, or this one by another call."""
    with open(lock, "a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
