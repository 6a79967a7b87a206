"""Files packed into archives that stay below a size."""

import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from trnet.utils.files import whole_file

MIB = 1 << 20
LARGEST = 15 * MIB  # of an archive; what carries files back may take 16 MiB each
LEVEL = 6


def pack(target: Path, files: Iterable[tuple[Path, str]], largest: int = LARGEST) -> list[tuple[Path, str]]:
    """Pack files into a new ``.tar.gz``, as far as they fit below `largest` bytes.

    Args:
        target: The archive; without any file it is not written.
        files: Each with its name in the archive.
        largest: Bytes.

    Returns:
        What did not fit.
    """
    files = list(files)
    left: list[tuple[Path, str]] = []
    if not files:
        return left
    with whole_file(target) as path, open(path, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=LEVEL) as archive:
            for file, name in files:
                if raw.tell() + _bound(file) > largest:
                    left.append((file, name))
                else:
                    archive.add(file, name, recursive=False)
    return left


def _bound(file: Path) -> int:
    """About as many bytes as a file takes in an archive, rather more; what is not yet written of others included."""
    size = file.stat().st_size
    if size > MIB:
        size = len(zlib.compress(file.read_bytes(), 1))
    return size + MIB // 4


def pack_parts(target: Path, files: Iterable[tuple[Path, str]], parts: int, largest: int = LARGEST) -> list[str]:
    """Pack files into ``<target>_1.tar.gz``, ``_2``, ..., so many at most; names of what did not fit."""
    left = list(files)
    for number in range(1, parts + 1):
        left = pack(target.with_name(f"{target.name}_{number}.tar.gz"), left, largest)
    return [name for _, name in left]


def tail(path: Path, size: int) -> str:
    """The last bytes of a text file."""
    with open(path, "rb") as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - size))
        return stream.read().decode("utf-8", "replace")
