"""What checksums cost when features are loaded, and what flushing to the disk costs when files are written."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from trnet.kaldi.ark import ArkReader, write_ark
from trnet.kaldi.data_dir import read_table
from trnet.utils.files import write_bytes

SHORTEST, LONGEST, DIM = 150, 500, 80  # frames of an utterance, values a frame


def write_features(folder: Path, utts: int) -> None:
    """A folder of features made of noise, two bytes a value."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, LONGEST + 1, utts)
    matrices = ((f"utt{i:05d}", rng.normal(0, 3, (n, DIM)).astype(np.float32)) for i, n in enumerate(lengths))
    write_ark(folder, matrices, 3)


def load_seconds(folder: Path, rounds: int) -> tuple[float, float]:
    """Median processor seconds to load a folder into one tensor, as training does: with checksums, and without."""
    frames = {utt: int(count) for utt, count in read_table(folder / "utt2num_frames").items()}
    flat = torch.empty(sum(frames.values()), DIM)

    def load(reader: ArkReader) -> None:
        begin = 0
        for utt, count in frames.items():
            flat[begin : begin + count] = torch.from_numpy(reader[utt].copy())
            begin += count

    ways = [ArkReader(folder), ArkReader(folder, checked=False)]
    seconds = [[_processor_seconds(partial(load, way)) for way in ways] for _ in range(rounds + 1)][1:]
    with_checksums, without = (statistics.median(column) for column in zip(*seconds, strict=True))
    return with_checksums, without


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


def _processor_seconds(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin
