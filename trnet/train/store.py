"""Features in memory: read once from the archives, so that a batch is an index and not a file read."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from torch import Tensor
from tqdm import tqdm

from trnet.conditions import Condition
from trnet.errors import TrnetError
from trnet.train.archives import Archives
from trnet.train.batch import pad

Item = tuple[str, Condition]  # clean utterance id, condition
Set = tuple[str, Condition]  # kind (noisy or enhanced) and condition: one archive


@dataclass(frozen=True)
class Room:
    """Bytes that features may take on the device, and beside a GPU in pinned memory of its host."""

    device: int
    host: int = 0


def room_on(device: torch.device, runs: int = 1) -> Room:
    """What one of `runs` processes that share the device may take: half of what is free (a quarter of the host's)."""
    host = psutil.virtual_memory().available
    if device.type != "cuda":
        return Room(host // 2 // runs)
    return Room(torch.cuda.mem_get_info(device)[0] // 2 // runs, host // 4 // runs)


@dataclass
class _Block:
    """Some archives' features one behind the other: flat (rows, F), and the first row of each archive."""

    flat: Tensor
    first: dict[Set, int]

    def gather(self, rows: list[int], lengths: Tensor) -> Tensor:
        """Matrices that begin at `rows`, of `lengths` (B,) frames -> (B, T, F), zeros behind the end."""
        lengths = lengths.to(self.flat.device)
        steps = torch.arange(int(lengths.max()), device=self.flat.device)
        real = steps[None, :] < lengths[:, None]  # (B, T)
        index = torch.tensor(rows, device=self.flat.device)[:, None] + steps[None, :]
        found = self.flat.index_select(0, torch.where(real, index, 0).flatten()).view(*real.shape, -1)
        return found.masked_fill_(~real[..., None], 0)


class FeatureStore:
    """Features of a corpus: on the device as far as they fit, then in pinned memory, then in the archives.

    Wherever they lie a batch holds the same numbers.
    """

    def __init__(
        self, archives: Archives, length: Mapping[str, int], device: torch.device, room: Room | None = None
    ) -> None:
        """A store that holds nothing yet.

        Args:
            archives: The dumped features.
            length: Frames of each clean utterance id.
            device: Where batches are wanted.
            room: What may be taken; None: what `room_on` says.
        """
        self.archives, self.length, self.device = archives, length, device
        self.room = room_on(device) if room is None else room
        self._blocks: list[_Block] = []
        self._row: dict[str, int] = {}  # first row of an utterance within its archive
        self._wanted: tuple[frozenset[Set], frozenset[str]] = (frozenset(), frozenset())

    @property
    def held(self) -> set[Set]:
        """The archives that are in memory."""
        return {each for block in self._blocks for each in block.first}

    def hold(self, sets: Collection[Set], utts: Collection[str]) -> None:
        """Read these utterances of these archives into memory, beside what is there, as far as there is room.

        Raises: TrnetError if features are missing, damaged, or of another length than `length` says.
        """
        wanted = (self._wanted[0] | set(sets), self._wanted[1] | set(utts))
        if wanted != self._wanted:
            self._wanted = wanted
            self._fill()

    def halve(self) -> bool:
        """Give half of what is held on the device back, after an out-of-memory error; False if nothing is."""
        there = next((block.flat for block in self._blocks if block.flat.device == self.device), None)
        if there is None:
            return False
        self.room = Room(there.nbytes // 2, self.room.host)
        del there
        self._fill()
        return True

    def _fill(self) -> None:
        self._blocks, self._row, rows = [], {}, 0
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        sets, utts = sorted(self._wanted[0], key=lambda each: (each[1].name, each[0])), sorted(self._wanted[1])
        for utt in utts:
            self._row[utt] = rows
            rows += self.length[utt]
        if not sets or not rows:
            return
        mels = self._matrix(sets[0], utts[0]).shape[1]
        size = 4 * rows * mels  # bytes of an archive, float32
        on_device = min(len(sets), self.room.device // size)
        on_host = min(len(sets) - on_device, self.room.host // size)
        with tqdm(total=(on_device + on_host) * len(utts), desc="features", unit="utt", leave=False) as bar:
            self._blocks = [
                self._read(part, utts, rows, mels, device, bar)
                for part, device in (
                    (sets[:on_device], self.device),
                    (sets[on_device : on_device + on_host], torch.device("cpu")),
                )
                if part
            ]

    def _read(self, sets: list[Set], utts: list[str], rows: int, mels: int, device: torch.device, bar: tqdm) -> _Block:
        pinned = self.device.type == "cuda" and device.type == "cpu"
        flat = torch.empty(len(sets) * rows, mels, device=device, pin_memory=pinned)
        first = {each: number * rows for number, each in enumerate(sets)}
        for each, start in first.items():
            stage = flat[start : start + rows] if device.type == "cpu" else torch.empty(rows, mels)
            for utt in utts:
                begin = self._row[utt]
                stage[begin : begin + self.length[utt]] = torch.from_numpy(self._matrix(each, utt).copy())
                bar.update()
            if device.type != "cpu":
                flat[start : start + rows] = stage
        return _Block(flat, first)

    def _matrix(self, each: Set, utt: str) -> np.ndarray:
        kind, condition = each
        matrix = self.archives.matrix(kind, utt, condition)
        if len(matrix) != self.length[utt]:
            raise TrnetError(
                f"{utt}: {len(matrix)} {kind} frames for {self.length[utt]} clean ones; run stages 2 to 4 again"
            )
        return matrix

    def stack(self, kind: str, items: Sequence[Item]) -> Tensor:
        """Features (B, T, F) float32 on the device of a kind (noisy or enhanced), zeros behind each end.

        Raises: TrnetError if features are missing, damaged, or of another length than `length` says.
        """
        lengths = torch.tensor([self.length[utt] for utt, _ in items])
        homes = [self._home((kind, condition), utt) for utt, condition in items]
        parts = []
        for block in self._blocks:
            members = [i for i, home in enumerate(homes) if home is block]
            if members:
                rows = [block.first[kind, items[i][1]] + self._row[items[i][0]] for i in members]
                parts.append((members, block.gather(rows, lengths[members])))
        if members := [i for i, home in enumerate(homes) if home is None]:
            matrices = [self._matrix((kind, items[i][1]), items[i][0]) for i in members]
            parts.append((members, pad(matrices)))
        if len(parts) == 1:
            return parts[0][1].to(self.device, non_blocking=True)
        stacked = torch.zeros(len(items), int(lengths.max()), parts[0][1].shape[2], device=self.device)
        for members, found in parts:
            stacked[members, : found.shape[1]] = found.to(self.device, non_blocking=True)
        return stacked

    def _home(self, each: Set, utt: str) -> _Block | None:
        if utt not in self._row:
            return None
        return next((block for block in self._blocks if each in block.first), None)


def sets_of(kinds: Iterable[str], conditions: Iterable[Condition]) -> set[Set]:
    """The archives of kinds of features under conditions."""
    return {(kind, condition) for kind in kinds for condition in conditions}
