"""Feature matrices in Kaldi's ark/scp: written with a checksum each, read by offset and checked, without any shell.

A folder holds ``feats.ark``, ``feats.scp`` (``utt feats.ark:OFFSET``), ``utt2num_frames``, and ``utt2checksum`` (``utt
BYTES XXH3``: how long the stored matrix is, and its 64-bit XXH3 in hexadecimal digits).
"""

import bisect
import contextlib
import io
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import kaldiio
import numpy as np
import xxhash

from trnet.kaldi.ark_bulk import Stored, read_stored
from trnet.kaldi.data_dir import read_table, write_table
from trnet.kaldi.paths import resolve
from trnet.utils.files import is_regular, whole_file
from trnet.utils.stamp import file_digest

FILES = ("feats.scp", "feats.ark", "utt2num_frames", "utt2checksum")
KEY_END = b" "  # between a key and its matrix
LARGEST_MATRIX = 1 << 26  # bytes; of the last one in an archive without checksums


@contextlib.contextmanager
def open_ark(folder: Path, compression: int) -> Iterator[Callable[[str, np.ndarray], None]]:
    """Write the four files of a folder, each whole or not at all.

    Within the block what is given takes an utterance id and its features (frames, dim) float32, in the order of the
    archive; the files are there at its end, unless it raises.

    Args:
        compression: kaldiio's compression_method; 0: none.
    """
    scp: dict[str, str] = {}
    frames: dict[str, str] = {}
    checksums: dict[str, str] = {}
    with whole_file(folder / "feats.ark") as partial, open(partial, "wb") as stream:

        def add(utt: str, matrix: np.ndarray) -> None:
            stored = encode(matrix, compression)
            stream.write(utt.encode() + KEY_END)
            scp[utt] = f"feats.ark:{stream.tell()}"
            stream.write(stored)
            frames[utt] = str(len(matrix))
            checksums[utt] = f"{len(stored)} {xxhash.xxh3_64_hexdigest(stored)}"

        yield add
    for name, table in zip(FILES, (scp, None, frames, checksums), strict=True):
        if table is not None:
            write_table(folder / name, table)


def write_ark(folder: Path, matrices: Iterable[tuple[str, np.ndarray]], compression: int) -> None:
    """Write utterance ids and their features (frames, dim) float32, in this order; see `open_ark`."""
    with open_ark(folder, compression) as add:
        for utt, matrix in matrices:
            add(utt, matrix)


def encode(matrix: np.ndarray, compression: int) -> bytes:
    """What an archive holds of features (frames, dim), behind the key."""
    stream = io.BytesIO()
    kaldiio.save_ark(stream, {"": matrix}, compression_method=compression or None)
    return stream.getvalue().removeprefix(KEY_END)


def decode_matrix(stored: bytes) -> np.ndarray:
    """Features (frames, dim) float32 from what an archive holds behind the key.

    Only Kaldi's binary matrices are read: kaldiio would also unpickle, that is run code, where an archive says so.

    Raises:
        ValueError: If it is no such matrix, or cut.
    """
    try:
        if stored[:2] == b"\0B" and stored[2:3] != b"\4":
            matrix = kaldiio.matio.read_matrix_or_vector(io.BytesIO(stored))
            if matrix.ndim == 2 and matrix.size:
                return matrix
    except (AssertionError, ValueError, struct.error, KeyError, OverflowError, MemoryError):
        pass  # damaged
    raise ValueError("no whole matrix of Kaldi's stands there")


class ArkReader:
    """The features of one folder, by utterance id.

    What is read must stand under the key of the utterance, and be what was written: by ``utt2checksum``, or, in
    folders of older versions that have none, by `digest_of` the whole archive, which is checked once.
    """

    def __init__(self, folder: Path, ark_digest: str | None = None, checked: bool = True) -> None:
        """Read the tables.

        Args:
            folder: It holds feats.scp.
            checked: False: do without checksums (to measure what they cost).
            ark_digest: Digest (`trnet.utils.stamp.file_digest`) of the archive, for a folder without ``utt2checksum``;
                None: nothing is known, and damage is found only where it breaks the format.

        Raises:
            TrnetError: For tables that are missing or malformed.
        """
        self.folder = Path(folder)
        self._entries = read_table(self.folder / "feats.scp")
        sums = self.folder / "utt2checksum"
        self._checksums = read_table(sums) if checked and sums.is_file() else {}
        self._ark_digest = None if self._checksums else ark_digest
        self._begins = {} if self._checksums else _begins(self._entries)
        self._open: dict[str, BinaryIO] = {}  # by the names in feats.scp

    def __contains__(self, utt: str) -> bool:
        """Whether feats.scp lists an utterance."""
        return utt in self._entries

    def __getitem__(self, utt: str) -> np.ndarray:
        """Features (frames, dim) float32.

        Raises:
            KeyError: No such utterance.
            ValueError: They cannot be read, or are not what was written; the message is the reason.
            OSError: As `open` does.
        """
        name, offset = ark_entry(self._entries[utt])
        stream = self._stream(name)
        size, checksum = self._expected(utt, name, offset)
        key = utt.encode() + KEY_END
        begin = offset - len(key)
        there = os.fstat(stream.fileno()).st_size - begin  # what a damaged table says can be more than memory holds
        read = os.pread(stream.fileno(), max(0, min(size + len(key), there)), begin) if begin >= 0 else b""
        if not read.startswith(key):
            raise ValueError(f"at byte {offset} stand not its features")
        stored = read[len(key) :]
        if checksum is not None and (len(stored) != size or xxhash.xxh3_64_hexdigest(stored) != checksum):
            raise ValueError("the features are not what was written")
        return decode_matrix(stored)

    def read_many(self, places: Mapping[str, np.ndarray]) -> list[str]:
        """Read features fast, each to its place: an array (frames, dim) float32 of just their shape, contiguous.

        Returns:
            The utterances that were not read, in order: what `[]` reads in another way, or refuses with the reason.
            Without ``utt2checksum`` these are all.
        """
        wanted: dict[str, list[Stored]] = {}  # by the names of archives
        for utt, place in places.items() if self._checksums else ():
            with contextlib.suppress(KeyError, ValueError):
                name, offset = ark_entry(self._entries[utt])
                size, checksum = self._expected(utt, name, offset)
                key = utt.encode() + KEY_END
                stored = Stored(utt, offset - len(key), key, size, checksum or "", place)
                if stored.fits:
                    wanted.setdefault(name, []).append(stored)
        good: set[str] = set()
        for name, matrices in wanted.items():
            with contextlib.suppress(OSError, ValueError):
                good |= read_stored(self._stream(name).fileno(), matrices)
        return [utt for utt in places if utt not in good]

    def _ark(self, name: str) -> Path:
        ark = resolve(name, self.folder / "feats.scp")
        beside = self.folder / Path(name).name  # a folder of an older version that was moved
        return beside if not ark.exists() and beside.exists() else ark

    def _stream(self, name: str) -> BinaryIO:
        if name not in self._open:
            ark = self._ark(name)
            if not is_regular(ark):
                raise ValueError(f"{ark}: {'is a folder, pipe or device' if ark.exists() else 'no such file'}")
            stream = open(ark, "rb", buffering=0)  # noqa: SIM115 (for as long as the reader lives)
            if self._ark_digest is not None and file_digest(ark) != self._ark_digest:
                raise ValueError("the archive is not what was written")
            self._open.setdefault(name, stream)  # unless another thread was faster
        return self._open[name]

    def _expected(self, utt: str, name: str, offset: int) -> tuple[int, str | None]:
        """Bytes of a stored matrix and its checksum; without one, as many bytes as there are up to the next key."""
        if not self._checksums:
            begins = self._begins[name]
            after = bisect.bisect_left(begins, offset)
            return (begins[after] - offset if after < len(begins) else LARGEST_MATRIX), None
        size, _, checksum = self._checksums.get(utt, "").partition(" ")
        if not (size.isascii() and size.isdecimal() and len(size) < 12 and checksum):
            raise ValueError("utt2checksum does not list it")
        return int(size), checksum


def ark_entry(entry: str) -> tuple[str, int]:
    """Archive and offset of an entry of feats.scp.

    Raises:
        ValueError: For anything else, a command among it.
    """
    name, _, offset = entry.rpartition(":")
    if not (name and offset.isascii() and offset.isdecimal() and len(offset) < 19):
        raise ValueError(f"feats.scp has '{entry}', which is not ARCHIVE:OFFSET; commands are not run")
    return name, int(offset)


def _begins(entries: Mapping[str, str]) -> dict[str, list[int]]:
    """Where the keys of each archive begin, in order."""
    found: dict[str, list[int]] = {}
    for utt, entry in entries.items():
        with contextlib.suppress(ValueError):  # reported when it is read
            name, offset = ark_entry(entry)
            found.setdefault(name, []).append(offset - len(utt.encode()) - len(KEY_END))
    return {name: sorted(begins) for name, begins in found.items()}
