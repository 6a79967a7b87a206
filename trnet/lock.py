"""One process at a time in a folder: a second one is told so, instead of spoiling what the first one writes."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trnet.errors import TrnetError


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, the file ``.<name>.lock`` beside it, for the length of the block.

    The operating system lets go of it when the process ends, however it ends; the empty file stays.
    Raises: TrnetError if another process holds it.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f".{folder.name}.lock", "a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrnetError(f"{folder}: another process is at work there; wait until it ends, or stop it") from None
        yield
