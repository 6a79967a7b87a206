"""Many of an archive's matrices at once: read in long stretches, and decoded to where they belong.

What is read is checked as when it is read singly; what is not in order, or not of the two formats that trnet writes, is
left to the caller, who reads it singly and is told what is wrong.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import xxhash

STRETCH = 1 << 20  # bytes read at once, unless one matrix takes more
GAP = 64 << 10  # bytes of others between two matrices that are rather read than skipped
_FLOATS = struct.Struct("<6sici")  # before the values: kind, rows, 4, columns
_TWO_BYTES = struct.Struct("<6sffii")  # kind, least value, range, rows, columns
_LEVELS = 65535.0  # of two bytes


class Stored(NamedTuple):
    """One matrix of an archive, and where its features are to be put."""

    utt: str
    begin: int  # byte of the archive where its key begins
    key: bytes  # the utterance, with what ends it
    size: int  # bytes behind the key
    checksum: str  # their XXH3, in hexadecimal digits
    place: np.ndarray  # (frames, dim) float32, contiguous

    @property
    def end(self) -> int:
        """Byte behind it."""
        return self.begin + len(self.key) + self.size

    @property
    def fits(self) -> bool:
        """Whether as much is stored as one of the two formats takes for so many values."""
        sizes = (_FLOATS.size + 4 * self.place.size, _TWO_BYTES.size + 2 * self.place.size)
        return self.begin >= 0 and self.size in sizes


def read_stored(handle: int, wanted: Iterable[Stored]) -> set[str]:
    """Read matrices of an open file to their places.

    Returns:
        Utterances that were read; the others are not what was expected.

    Raises:
        OSError: The file cannot be read.
    """
    good = set()
    stretches = list(_stretches(sorted(wanted, key=lambda each: each.begin)))
    sizes = [max(each.end for each in stretch) - stretch[0].begin for stretch in stretches]
    buffer = np.empty(max(sizes, default=0), np.uint8).data
    for stretch, size in zip(stretches, sizes, strict=True):
        start = stretch[0].begin
        content = _read(handle, start, buffer[:size])
        for each in stretch:
            stored = content[each.begin - start : each.end - start]
            if stored[: len(each.key)] == each.key and _decode(stored[len(each.key) :], each):
                good.add(each.utt)
    return good


def _stretches(ordered: list[Stored]) -> Iterator[list[Stored]]:
    """Neighbours in the file, some at a time."""
    stretch: list[Stored] = []
    for each in ordered:
        if stretch and (each.begin > stretch[-1].end + GAP or each.end > stretch[0].begin + STRETCH):
            yield stretch
            stretch = []
        stretch.append(each)
    if stretch:
        yield stretch


def _read(handle: int, start: int, buffer: memoryview) -> memoryview:
    """Fill a buffer from a byte of a file on; what was filled: less where the file ends."""
    done = 0
    while done < len(buffer) and (count := os.preadv(handle, [buffer[done:]], start + done)):
        done += count
    return buffer[:done]


def _decode(stored: memoryview, wanted: Stored) -> bool:
    """Put features to their place from what is stored of them behind the key; False if that is not what is wanted."""
    if len(stored) != wanted.size or xxhash.xxh3_64_hexdigest(stored) != wanted.checksum:
        return False
    place, kind = wanted.place, bytes(stored[:6])
    if kind == b"\0BFM \4" and len(stored) == _FLOATS.size + 4 * place.size:
        _, rows, four, columns = _FLOATS.unpack_from(stored)
        if four != b"\4" or (rows, columns) != place.shape:
            return False
        place[...] = np.frombuffer(stored, "<f4", offset=_FLOATS.size).reshape(place.shape)
        return True
    if kind == b"\0BCM2 " and len(stored) == _TWO_BYTES.size + 2 * place.size:
        _, least, reach, rows, columns = _TWO_BYTES.unpack_from(stored)
        if (rows, columns) != place.shape:
            return False
        place[...] = np.frombuffer(stored, "<u2", offset=_TWO_BYTES.size).reshape(place.shape)
        place *= reach  # in this order, each step rounded to float32: kaldiio's numbers
        place /= _LEVELS
        place += least
        return True
    return False
