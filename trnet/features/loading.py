"""Whole archives of features into memory by several threads: some read and decode while others copy to a GPU."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trnet.conditions import Condition
from trnet.features.reader import Reader
from trnet.utils.errors import TrnetError

THREADS = 4  # at most: much of their time is Python, which runs one of them at a time
PORTION = 8 << 20  # bytes of features that a thread reads at a time, unless one utterance takes more


class _Portion(NamedTuple):
    """Neighbouring utterances: the first row of each within the portion, and the rows of all within an archive."""

    utts: dict[str, int]
    rows: slice


def load(
    reader: Reader,
    targets: Mapping[tuple[str, Condition], Tensor],
    length: Mapping[str, int],
    utts: list[str],
    progress: Callable[[int], object],
) -> None:
    """Read features of the same utterances of some archives.

    Args:
        targets: Where those of each kind and condition are put, one utterance behind the other: (rows, dim) float32
            or float16, on any device.
        length: Rows of each utterance.
        utts: Which ones, in this order.
        progress: Called with how many were read since the last time.

    Raises:
        TrnetError: For the first features, in the order of the arguments, that are missing, damaged, or not as long as
            the clean ones.
    """
    if not targets:
        return
    dim = next(iter(targets.values())).shape[1]
    portions = list(_portions(utts, length, PORTION // (4 * dim)))
    threads = min(THREADS, os.cpu_count() or 1)
    ways = _Ways(threads, portions, targets.values())

    def read(each: tuple[str, Condition], target: Tensor, portion: _Portion) -> int:
        with ways.to(target[portion.rows]) as room:
            places = {utt: room[row : row + length[utt]] for utt, row in portion.utts.items()}
            for utt in reader.read_many(*each, places):
                places[utt][...] = read_singly(reader, *each, utt, length[utt])
        return len(portion.utts)

    pool = ThreadPoolExecutor(threads)
    try:
        jobs = [pool.submit(read, each, target, portion) for each, target in targets.items() for portion in portions]
        for job in jobs:
            progress(job.result())
    finally:
        pool.shutdown(cancel_futures=True)


def read_singly(reader: Reader, kind: str, condition: Condition, utt: str, frames: int) -> np.ndarray:
    """Features (frames, dim) float32 of one utterance. TrnetError if they are missing, damaged, or of other length."""
    matrix = reader.matrix(kind, utt, condition)
    if len(matrix) != frames:
        raise TrnetError(f"{utt}: {len(matrix)} {kind} frames for {frames} clean ones; run stages 2 to 4 again")
    return matrix


def _portions(utts: list[str], length: Mapping[str, int], most: int) -> Iterator[_Portion]:
    """At most so many rows each, unless one utterance has more."""
    begin, rows, part = 0, 0, dict[str, int]()
    for utt in utts:
        if part and rows + length[utt] > most:
            yield _Portion(part, slice(begin, begin + rows))
            begin, rows, part = begin + rows, 0, {}
        part[utt] = rows
        rows += length[utt]
    yield _Portion(part, slice(begin, begin + rows))


def _is_near(target: Tensor) -> bool:
    """Whether numpy can write float32 there."""
    return target.device.type == "cpu" and target.dtype == torch.float32


class _Ways:
    """How features get to targets: at once, or by way of float32 memory of the host, pinned for a device."""

    def __init__(self, count: int, portions: list[_Portion], targets: Iterable[Tensor]) -> None:
        """`count`: of threads, each of which may have a portion on the way."""
        self._rooms: SimpleQueue[Tensor] = SimpleQueue()
        self._stream = None  # of the thread that loads: what it allocated belongs to it
        far = next((target for target in targets if not _is_near(target)), None)
        if far is not None:
            gpu = far.device.type == "cuda"
            self._stream = torch.cuda.current_stream(far.device) if gpu else None
            rows = max(portion.rows.stop - portion.rows.start for portion in portions)
            for _ in range(count):
                self._rooms.put(torch.empty(rows, far.shape[1], pin_memory=gpu))

    @contextlib.contextmanager
    def to(self, target: Tensor) -> Iterator[np.ndarray]:
        """An array (rows, dim) whose content is in `target` at the end."""
        if _is_near(target):
            yield target.numpy()
            return
        whole = self._rooms.get()
        try:
            room = whole[: len(target)]
            yield room.numpy()
            with torch.cuda.stream(self._stream):
                target.copy_(room)  # waits until it is there
        finally:
            self._rooms.put(whole)
