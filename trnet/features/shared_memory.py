"""Features in memory that several processes share, so that `--nj` runs on a CPU hold one copy between them.

The memory belongs to the process that starts the others. They open it by its path, and whoever needs an archive first
reads it for all. It has no name in any folder: it is given back when the last of the processes ends, however that does.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trnet.features.reader import FeatureSet

log = logging.getLogger(__name__)

FULL = b"\1"  # flag of an archive that has been read


@dataclass(frozen=True)
class SharedFeatures:
    """Room for the same utterances of some archives: (archives x rows, dim), then a byte for each archive."""

    path: Path
    sets: tuple[FeatureSet, ...]
    length: Mapping[str, int]  # rows of each utterance of an archive, in the order in which they lie
    dim: int
    dtype: torch.dtype  # float32 or float16

    @property
    def rows(self) -> int:
        """Of an archive."""
        return sum(self.length.values())

    def is_for(self, utts: Collection[str], length: Mapping[str, int]) -> bool:
        """Whether these utterances are in it, all of them of these lengths, and this process can open it."""
        if not all(utt in self.length for utt in utts) or any(length[utt] != n for utt, n in self.length.items()):
            return False
        try:
            return len(self.flat) > 0
        except OSError as error:
            log.info("%s; this process has its own copy of the features", error)
            return False

    @cached_property
    def flat(self) -> Tensor:
        """(archives x rows, dim), mapped into this process. OSError if that fails."""
        kind = torch.empty(0, dtype=self.dtype).numpy().dtype
        return torch.from_numpy(np.memmap(self.path, kind, "r+", shape=(len(self.sets) * self.rows, self.dim)))

    @property
    def nbytes(self) -> int:
        """Of all archives."""
        return len(self.sets) * self.rows * self.dim * self.dtype.itemsize

    def first(self, each: FeatureSet) -> int:
        """The first row of an archive."""
        return self.sets.index(each) * self.rows

    def fill(self, each: FeatureSet, read: Callable[[Mapping[FeatureSet, Tensor]], object]) -> None:
        """Call `read` with an archive and its room (rows, dim) unless a process has, one process at a time.

        If it raises, the archive stays unread.
        """
        first, place = self.first(each), self.nbytes + self.sets.index(each)
        with self.path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            if os.pread(file.fileno(), 1, place) != FULL:
                read({each: self.flat[first : first + self.rows]})
                os.pwrite(file.fileno(), FULL, place)


@contextlib.contextmanager
def share(
    sets: Sequence[FeatureSet],
    utts: Sequence[str],
    length: Mapping[str, int],
    dim: int,
    dtype: torch.dtype,
    room: int,
) -> Iterator[SharedFeatures | None]:
    """Within the block: memory for these utterances of as many archives as there is room for; None if for none.

    Args:
        length: Rows of each utterance.
        dim: Values of a row.
        room: Bytes.
    """
    rows = {utt: length[utt] for utt in utts}
    size = dtype.itemsize * sum(rows.values()) * dim  # bytes of an archive
    count = min(len(sets), room // size) if size else 0
    memory = _memory(count * (size + 1)) if count else None
    if memory is None:
        yield None
        return
    try:
        path = Path(f"/proc/{os.getpid()}/fd/{memory}")
        yield SharedFeatures(path, tuple(sets[:count]), rows, dim, dtype)
    finally:
        os.close(memory)


def _memory(size: int) -> int | None:
    """The descriptor of so many bytes, which take no memory until they are written; None (logged) if there are none."""
    memory = None
    try:
        memory = os.memfd_create("trnet-features")
        os.ftruncate(memory, size)
    except (AttributeError, OSError) as error:  # the first: not Linux
        log.info("no memory for several processes (%s); each has its own copy of the features", error)
        if memory is not None:
            os.close(memory)
        return None
    return memory
