"""Files: written whole or not at all, and safe from a power loss; read only as far as a bound in time and size.

A file is written under another name in the same folder, flushed to the disk, and renamed. The other name is new, so
that no link that somebody left there is followed, and the folder is flushed after the renaming.
"""

import errno
import os
import select
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trnet.utils.errors import TrnetError

PARTIAL = ".partial-"
UMASK = os.umask(0o077)  # can only be read by setting it; once, as threads share it
os.umask(UMASK)
LARGEST_TEXT = 1 << 30  # bytes of a table, a configuration, a label file
SILENT_S = 10.0  # a pipe that gives nothing for so long is given up


@contextmanager
def whole_file(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a new temporary file beside `path`; it takes the name of `path` only if the block succeeds.

    The suffix is kept (libraries choose formats by it). On any exception, Ctrl-C included, the temporary
    file is removed and an existing `path` stays as it was.

    Args:
        path: The file to write; its folder is made if need be.
        durable: Flush the file and its folder to the disk. False for thousands of small files, whose writer calls
            :func:`flush_disks` once for all.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial = _new_file(path)
    except OSError as error:
        error.filename = str(path)
        raise
    try:
        yield partial
        if durable:
            flush(partial)
        os.replace(partial, path)
        if durable:
            flush(path.parent)
    except OSError as error:
        if error.filename in (None, str(partial)):  # what fails in writing does not say where: a full disk, a limit
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def _new_file(path: Path) -> Path:
    """An empty file beside `path` that was not there before, with the mode that any new file has."""
    handle, name = tempfile.mkstemp(prefix=PARTIAL, suffix=path.suffix, dir=path.parent)
    os.fchmod(handle, 0o666 & ~UMASK)
    os.close(handle)
    return Path(name)


def new_folder(beside: Path) -> Path:
    """An empty folder beside `beside` that was not there before, to be filled and renamed."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=PARTIAL, suffix=f"-{beside.name}", dir=beside.parent))
    folder.chmod(0o777 & ~UMASK)
    return folder


def flush(path: Path) -> None:
    """Have a file or folder written to the disk, where the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            raise  # of folders some network file systems flush none: there is nothing more to do
    finally:
        os.close(handle)


def flush_disks() -> None:
    """Have everything that was written so far on the disk: before many files are declared done."""
    os.sync()


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Write `content`, whole or not at all; a full disk is an OSError that says so."""
    with whole_file(path, durable) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def read_bytes(path: Path, largest: int = LARGEST_TEXT) -> bytes:
    """The content of a file that is read as a whole: a table, a configuration, a label file.

    A pipe (``<(command)`` of the shell) is read while it gives something; one that nobody writes to is given up after
    `SILENT_S` seconds, a device that never ends after `largest` bytes.

    Raises:
        OSError: As `open` does.
        TrnetError: More than `largest` bytes, or a pipe that gives nothing.
    """
    if os.path.isdir(path):  # opened, it would be named by the number of its handle
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb", buffering=0) as stream:
        pipe = stat.S_ISFIFO(os.fstat(handle).st_mode)
        parts, size = [], 0
        until, wrote = time.monotonic() + SILENT_S, False
        while size <= largest:
            part = stream.read(1 << 20)
            if part:
                parts.append(part)
                size, until, wrote = size + len(part), time.monotonic() + SILENT_S, True
            elif part == b"" and (wrote or not pipe):
                return b"".join(parts)
            elif time.monotonic() > until:  # None: nothing yet; b"": nobody has opened the other end yet
                raise TrnetError(f"{path}: is a pipe that nobody writes to; give a file")
            else:
                select.select([handle], [], [], 0.05)
                if part == b"":
                    time.sleep(0.05)
    raise TrnetError(f"{path}: is larger than {largest} bytes; give the file that was meant")


def read_text(path: Path, largest: int = LARGEST_TEXT) -> str:
    """The text of a UTF-8 file, a byte order mark at its beginning left out.

    Raises:
        OSError, TrnetError: As :func:`read_bytes`.
        UnicodeDecodeError: Not UTF-8.
    """
    return read_bytes(path, largest).decode("utf-8-sig")


def is_regular(path: Path) -> bool:
    """Whether `path` is a file that can be read to its end: no folder, pipe or device."""
    return Path(path).is_file()  # follows links; false for pipes and devices
