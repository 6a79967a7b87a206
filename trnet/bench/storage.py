"""How fast features are loaded, and what checksums cost there; what flushing files to the disk costs."""

import math
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from trnet.conditions import CLEAN, Condition
from trnet.features.cache import FeatureCache, Room, sets_of
from trnet.features.reader import FeatureReader
from trnet.kaldi.ark import ArkReader, write_ark
from trnet.utils.files import write_bytes

SHORTEST, LONGEST, DIM = 150, 340, 80  # frames of an utterance, as nEMO has 245 on average; values a frame
CONDITIONS = (CLEAN, Condition("esc", 0.0), Condition("esc", 10.0))
STRETCH = 1 << 20  # bytes


class Seconds(NamedTuple):
    """Of one piece of work."""

    wall: float
    processor: float  # of all threads


def write_features(dump: Path, utts: int, compression: int) -> FeatureReader:
    """Features made of noise under all `CONDITIONS`; `compression`: 3, two bytes a value, or 0, four."""
    reader = FeatureReader(dump, "none", "bench")
    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, LONGEST + 1, utts)
    noise = rng.normal(0, 3, (utts + LONGEST, DIM)).astype(np.float32)
    for condition in CONDITIONS:
        matrices = ((condition.utt(f"utt{i:05d}"), noise[i : i + n]) for i, n in enumerate(lengths))
        write_ark(reader.folder("noisy", condition), matrices, compression)
    return reader


def load_seconds(reader: FeatureReader, rounds: int) -> dict[str, Seconds]:
    """Medians over rounds in which the ways to load all archives take turns; one round more is not counted.

    Ways: `in bulk`, as training does (`FeatureCache.hold`); matrix by matrix, `singly`, and so `without checksums`;
    and the `floor` under all of them: the files are read, and as many values written, by one thread.
    """
    frames = reader.lengths(CLEAN)
    folders = [reader.folder("noisy", condition) for condition in CONDITIONS]
    shape = (sum(frames.values()), DIM)

    def in_bulk() -> None:
        fresh = FeatureReader(reader.dump, reader.frontend, reader.corpus)
        room = Room(len(CONDITIONS) * 4 * math.prod(shape))
        FeatureCache(fresh, frames, torch.device("cpu"), room).hold(sets_of(["noisy"], CONDITIONS), frames)

    def singly(checked: bool) -> None:
        for folder, condition in zip(folders, CONDITIONS, strict=True):
            ark, flat, begin = ArkReader(folder, checked=checked), np.empty(shape, np.float32), 0
            for utt, count in frames.items():
                flat[begin : begin + count] = ark[condition.utt(utt)]
                begin += count

    def floor() -> None:
        content = bytearray(STRETCH)
        for folder in folders:
            with open(folder / "feats.ark", "rb", buffering=0) as stream:
                while stream.readinto(content):
                    pass
            np.empty(shape, np.float32).fill(1)

    ways: dict[str, Callable[[], None]] = {
        "in bulk": in_bulk,
        "singly": partial(singly, True),
        "without checksums": partial(singly, False),
        "floor": floor,
    }
    taken = [{name: _seconds(way) for name, way in ways.items()} for _ in range(rounds + 1)][1:]
    return {name: Seconds(*(map(statistics.median, zip(*(row[name] for row in taken), strict=True)))) for name in ways}


def stored_bytes(reader: FeatureReader) -> int:
    """Of all archives."""
    return sum(os.path.getsize(reader.folder("noisy", condition) / "feats.ark") for condition in CONDITIONS)


def write_seconds(folder: Path, size: int, rounds: int) -> tuple[float, float]:
    """Seconds to write a file of `size` bytes: flushed to the disk with its folder, and left to the system."""
    content = np.random.default_rng(0).bytes(size)
    seconds: list[list[float]] = []
    for number in range(rounds):
        row = []
        for durable in (True, False):
            begin = time.perf_counter()
            write_bytes(folder / f"{durable}{number % 2}", content, durable)
            row.append(time.perf_counter() - begin)
        seconds.append(row)
    flushed, left = (statistics.median(column) for column in zip(*seconds, strict=True))
    return flushed, left


def _seconds(work: Callable[[], None]) -> Seconds:
    begin = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - begin[0], time.process_time() - begin[1])
