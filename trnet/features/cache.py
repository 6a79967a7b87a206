"""Features in memory: read once from the archives, so that a batch is an index and not a file read."""

import gc
import logging
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor
from tqdm import tqdm

from trnet.conditions import Condition
from trnet.features.loading import load, read_singly
from trnet.features.reader import FeatureSet, Reader
from trnet.features.shared_memory import SharedFeatures, share
from trnet.utils.device import send

HOST, DISK = "pinned memory", "disk"

log = logging.getLogger(__name__)

Item = tuple[str, Condition]  # clean utterance id, condition


@dataclass(frozen=True)
class Room:
    """Bytes that features may take on the device, beside a GPU in pinned memory of its host, and in a disk's folder."""

    device: int
    host: int = 0
    disk: int = 0
    folder: Path | None = None


def room_on(device: torch.device, runs: int = 1, folder: Path | None = None) -> Room:
    """What one of `runs` processes that share the device may take: half of what is free (the host: a quarter).

    `folder`: on a disk of which features may take half of what is free; None: no disk.
    """
    here = runs * int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # processes of torchrun share the host, not a GPU
    host = psutil.virtual_memory().available // here
    disk = 0
    if folder is not None and os.access(folder, os.W_OK):
        disk = shutil.disk_usage(folder).free // 2 // here
    if device.type != "cuda":
        return Room(host // 2, 0, disk, folder)
    return Room(torch.cuda.mem_get_info(device)[0] // 2 // runs, host // 4, disk, folder)


def as_read(x: Tensor) -> Tensor:
    """Features as networks read them: those that are kept in float16 in float32."""
    return x.float() if x.dtype == torch.float16 else x


def pad(matrices: Sequence[np.ndarray]) -> Tensor:
    """Matrices (t_i, F) -> (B, max t_i, F), zeros behind the end."""
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(m.copy()) for m in matrices], batch_first=True)


@dataclass
class _Block:
    """Some archives' features one behind the other: flat (rows, F), first rows of archives, where they lie."""

    flat: Tensor
    first: dict[FeatureSet, int]
    home: str

    def gather(self, rows: list[int], lengths: Tensor) -> Tensor:
        """Matrices that begin at `rows`, of `lengths` (B,) frames -> (B, T, F), zeros behind the end."""
        device, total = self.flat.device, int(lengths.max())
        steps = torch.arange(total)
        real = steps[None, :] < lengths[:, None]  # (B, T)
        index = torch.where(real, torch.tensor(rows)[:, None] + steps[None, :], 0).flatten()
        room = torch.empty(
            len(index), self.flat.shape[1], dtype=self.flat.dtype, device=device, pin_memory=self.home == HOST
        )
        torch.index_select(self.flat, 0, send(index, device), out=room)
        return room.view(*real.shape, -1).masked_fill_(~send(real, device)[..., None], 0)


@dataclass(frozen=True)
class Resident:
    """Features of some archives that lie together on the device, to be read by index.

    The features of an utterance under an archive's condition are `length` rows of `flat` from `first` + `row` on. What
    the cache does later changes nothing here; the memory is given back when the last of these is gone, too.
    """

    flat: Tensor  # (rows, dim) float32 or float16, on the device
    first: dict[FeatureSet, int]  # first row of each archive
    row: dict[str, int]  # first row of an utterance within its archive
    length: Mapping[str, int]  # rows of an utterance


@dataclass(frozen=True)
class _Held:
    """What a cache holds at a time; replaced as a whole, so that threads which read see one state or the other."""

    blocks: tuple[_Block, ...] = ()
    row: dict[str, int] = field(default_factory=dict)  # first row of an utterance within its archive

    def home(self, each: FeatureSet, utt: str) -> _Block | None:
        """The block where an utterance of an archive lies; None: in the archive alone."""
        if utt not in self.row:
            return None
        return next((block for block in self.blocks if each in block.first), None)


class FeatureCache:
    """Features of a corpus: on the device as far as they fit, then in pinned memory, then in a file that is mapped into
    memory, then in the archives.

    Wherever they lie a batch holds the same numbers. The file has no name: it ends with the process, however that does.
    Threads of one process may share a cache: while one of them has it filled, the others read from the archives.
    """

    def __init__(
        self,
        reader: Reader,
        length: Mapping[str, int],
        device: torch.device,
        room: Room | None = None,
        half: bool = False,
        shared: SharedFeatures | None = None,
    ) -> None:
        """An empty cache.

        Args:
            length: Frames of each clean utterance id.
            room: None: what `room_on` says.
            half: Keep features in float16; what `stack` gives is float32, rounded so wherever it is from.
            shared: Memory of several processes on a CPU, for what it has room for; made by `sharing` of such a cache.
        """
        self.dtype = torch.float16 if half else torch.float32
        self.reader, self.length, self.device = reader, length, device
        self.room = room_on(device) if room is None else room
        self.shared = shared
        self._held = _Held()
        self._wanted: tuple[frozenset[FeatureSet], frozenset[str]] = (frozenset(), frozenset())
        self._filling = threading.RLock()
        self._given: list[weakref.ref[Resident]] = []

    @property
    def in_memory(self) -> set[FeatureSet]:
        """The archives that are in memory."""
        return {each for block in self._held.blocks for each in block.first}

    def hold(self, sets: Collection[FeatureSet], utts: Collection[str]) -> None:
        """Read these utterances of these archives into memory, beside what is there, as far as there is room."""
        with self._filling:
            wanted = (self._wanted[0] | set(sets), self._wanted[1] | set(utts))
            if wanted != self._wanted:
                self._wanted = wanted
                self._fill()

    def sharing(
        self, sets: Collection[FeatureSet], utts: Collection[str], room: int
    ) -> AbstractContextManager[SharedFeatures | None]:
        """Memory of at most `room` bytes, while the context lasts, for caches of several processes to hold these in."""
        dim = self._matrix(min(sets, key=_order), min(utts)).shape[1]
        return share(sorted(sets, key=_order), sorted(utts), self.length, dim, self.dtype, room)

    def resident(self, sets: Collection[FeatureSet]) -> Resident | None:
        """The features of these archives as they lie on the device; None unless all are there, in one block."""
        held = self._held
        for block in held.blocks:
            if block.home == self.device.type and all(each in block.first for each in sets):
                found = Resident(block.flat, dict(block.first), held.row, self.length)
                self._given = [ref for ref in self._given if ref() is not None] + [weakref.ref(found)]
                return found
        return None

    def halve(self) -> bool:
        """Give half of what is in memory on the device back, after an out-of-memory error.

        False if nothing is there, or if somebody reads it by index, so that it would stay there beside its new half.
        """
        gc.collect()
        with self._filling:
            there = next((block.flat for block in self._held.blocks if block.home == self.device.type), None)
            given = [resident for ref in self._given if (resident := ref()) is not None]
            if there is None or any(resident.flat is there for resident in given):
                return False
            self.room = replace(self.room, device=there.nbytes // 2)
            del there
            self._fill()
            return True

    def _fill(self) -> None:
        self._held, row, rows = _Held(), {}, 0
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        sets, utts = sorted(self._wanted[0], key=_order), sorted(self._wanted[1])
        shared = self.shared if self.shared is not None and self.shared.is_for(utts, self.length) else None
        if shared is not None:
            utts = list(shared.length)
        for utt in utts:
            row[utt] = rows
            rows += self.length[utt]
        if not sets or not rows:
            return
        common = [each for each in sets if shared is not None and each in shared.sets]
        blocks = self._blocks(
            [each for each in sets if each not in common], rows, self._matrix(sets[0], utts[0]).shape[1]
        )
        targets = {each: b.flat[first : first + rows] for b in blocks for each, first in b.first.items()}
        with tqdm(total=(len(common) + len(targets)) * len(utts), desc="features", unit="utt", leave=False) as bar:

            def read(places: Mapping[FeatureSet, Tensor]) -> None:
                load(self.reader, places, self.length, utts, bar.update)

            read(targets)
            if shared is not None and common:
                for number, each in enumerate(common, 1 + len(targets)):
                    shared.fill(each, read)
                    bar.update(number * len(utts) - bar.n)  # where another process has read it
                blocks.append(_Block(shared.flat, {each: shared.first(each) for each in common}, self.device.type))
        self._held = _Held(tuple(blocks), row)

    def _blocks(self, sets: Sequence[FeatureSet], rows: int, dim: int) -> list[_Block]:
        """Room for as many of these archives as there is room for, on the device first."""
        size = self.dtype.itemsize * rows * dim  # bytes of an archive
        blocks, begin = [], 0
        for home, room in ((self.device.type, self.room.device), (HOST, self.room.host), (DISK, self.room.disk)):
            count, flat = min(len(sets) - begin, room // size), None
            while count and flat is None:
                flat = self._room_for(count * rows, dim, home)
                count = count // 2 if flat is None else count
            if flat is None:
                continue
            first = {each: number * rows for number, each in enumerate(sets[begin : begin + count])}
            blocks.append(_Block(flat, first, home))
            begin += count
        return blocks

    def _room_for(self, rows: int, dim: int, home: str) -> Tensor | None:
        """(rows, dim); None (logged) if the allocation fails, because of a quota or of other processes."""
        try:
            return self._empty(rows, dim, home)
        except (torch.OutOfMemoryError, MemoryError, OSError) as error:
            where = self.room.folder if home == DISK else home
            why = error.strerror if isinstance(error, OSError) else "out of memory"
            size = 1e-6 * self.dtype.itemsize * rows * dim
            log.info("%s: no room for %.0f MB of features (%s); fewer are tried", where, size, why)
            return None

    def _empty(self, rows: int, dim: int, home: str) -> Tensor:
        """(rows, dim) on the device, in pinned memory, or in a nameless file."""
        kind: Any = np.float16 if self.dtype == torch.float16 else np.float32
        if home == DISK:
            with tempfile.TemporaryFile(dir=self.room.folder) as file:
                os.posix_fallocate(
                    file.fileno(), 0, kind().itemsize * rows * dim
                )  # all of it, so that no write finds the disk full
                return torch.from_numpy(np.memmap(file, kind, "r+", shape=(rows, dim)))
        if home == HOST:
            return torch.empty(rows, dim, dtype=self.dtype, pin_memory=True)
        if self.device.type == "cpu":  # numpy asks for large pages, which are there in a quarter of the time
            return torch.from_numpy(np.empty((rows, dim), kind))
        return torch.empty(rows, dim, dtype=self.dtype, device=self.device)

    def _matrix(self, each: FeatureSet, utt: str) -> np.ndarray:
        return read_singly(self.reader, *each, utt, self.length[utt])

    def stack(self, kind: str, items: Sequence[Item]) -> Tensor:
        """Features (B, T, F) float32 on the device of a kind (noisy or enhanced), zeros behind each end."""
        lengths = torch.tensor([self.length[utt] for utt, _ in items])
        held = self._held
        homes = [held.home((kind, condition), utt) for utt, condition in items]
        parts = []
        for block in held.blocks:
            members = [i for i, home in enumerate(homes) if home is block]
            if members:
                rows = [block.first[kind, items[i][1]] + held.row[items[i][0]] for i in members]
                parts.append((members, block.gather(rows, lengths[members])))
        if members := [i for i, home in enumerate(homes) if home is None]:
            matrices = [self._matrix((kind, items[i][1]), items[i][0]) for i in members]
            parts.append((members, pad(matrices).to(self.dtype)))
        if len(parts) == 1:
            return as_read(send(parts[0][1], self.device))
        stacked = torch.zeros(len(items), int(lengths.max()), parts[0][1].shape[2], device=self.device)
        for members, found in parts:
            stacked[send(torch.tensor(members), self.device), : found.shape[1]] = as_read(send(found, self.device))
        return stacked


def _order(each: FeatureSet) -> tuple[str, str]:
    """By which archives are sorted: those of one condition together."""
    kind, condition = each
    return condition.name, kind


def sets_of(kinds: Iterable[str], conditions: Iterable[Condition]) -> set[FeatureSet]:
    """The archives of kinds of features under conditions."""
    return {(kind, condition) for kind in kinds for condition in conditions}
