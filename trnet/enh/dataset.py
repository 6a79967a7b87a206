"""Pairs of noisy and clean speech, and the segments of an epoch, a function of seed and epoch alone."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trnet.audio.crop import read_clip
from trnet.audio.reading import read_audio
from trnet.kaldi.data_dir import Clip, DataDir
from trnet.kaldi.paths import resolve
from trnet.utils.errors import TrnetError
from trnet.utils.random import rng_for
from trnet.utils.workers import Workers

RATE = 16000  # Hz
AHEAD = 8  # batches that worker processes read at a time


class Pair(NamedTuple):
    """One utterance, noisy and clean, (samples,) float32 each at 16 kHz."""

    noisy: np.ndarray
    clean: np.ndarray


@dataclass(frozen=True)
class PairFiles:
    """The audio of a pair, and its name for messages."""

    name: str
    noisy: Clip
    clean: Path

    def read(self) -> Pair:
        """Both signals, resampled to 16 kHz.

        Raises:
            TrnetError: If audio cannot be read, or the lengths differ.
        """
        pair = Pair(read_clip(self.noisy, RATE), read_audio(self.clean, RATE))
        if len(pair.noisy) != len(pair.clean):
            raise TrnetError(f"{self.name}: has {len(pair.noisy)} noisy samples for {len(pair.clean)} clean ones")
        return pair


class Pairs:
    """The pairs of a data directory: wav.scp is noisy, clean.scp clean."""

    def __init__(self, data: DataDir) -> None:
        self.data = data
        self.utts = data.utts

    def files(self, utt: str) -> PairFiles:
        """Where a pair is.

        Raises:
            TrnetError: If the clean one is not listed.
        """
        scp = self.data.path / "clean.scp"
        if utt not in self.data["clean.scp"]:
            raise TrnetError(f"{scp}: does not list {utt}; prepare the data anew")
        clean = resolve(self.data["clean.scp"][utt], scp)
        return PairFiles(f"{self.data.path}: {utt}", self.data.clip(utt), clean)

    def read(self, utt: str) -> Pair:
        """The signals of a pair; raises as `files` and `PairFiles.read`."""
        return self.files(utt).read()


def segment_of(pair: Pair, samples: int, place: float) -> Pair:
    """A segment of so many samples; shorter speech is repeated, as CMGAN's authors do.

    `place` is its position, from 0, the earliest, to 1 (excluded), the latest.
    """
    start = int(place * (len(pair.clean) - samples + 1)) if len(pair.clean) > samples else 0
    return Pair(*(np.resize(wav[start : start + samples], samples) for wav in pair))  # np.resize repeats


def drawn(utts: Sequence[str], count: int, *key: object) -> list[str]:
    """`count` of the utterances (0: all) in their order, a function of them and `key` alone."""
    chosen = rng_for(*key).permutation(len(utts))[: count or None]
    return [utts[i] for i in sorted(chosen)]


def epoch_order(utts: Sequence[str], count: int, *key: object) -> list[tuple[str, float]]:
    """Utterances of one epoch in random order, `count` of them (0: all), each with the place of its segment."""
    rng = rng_for(*key, "segments")
    order = rng.permutation(len(utts))[: count or None]
    return list(zip([utts[i] for i in order], rng.random(len(order)).tolist(), strict=True))


class Segment(NamedTuple):
    """A segment that is to be read."""

    utt: str
    files: PairFiles
    samples: int
    place: float


class SegmentBatch(NamedTuple):
    """Noisy and clean segments, (batch, samples) float32 each, and their utterances."""

    utts: list[str]
    noisy: Tensor
    clean: Tensor


def read_segment(segment: Segment) -> Pair:
    """The signals of a segment, (samples,) each; raises as `PairFiles.read`."""
    return segment_of(segment.files.read(), segment.samples, segment.place)


def epoch_batches(
    pairs: Pairs, samples: int, batch_size: int, count: int, workers: Workers | None, *key: object
) -> tuple[int, Iterator[SegmentBatch]]:
    """The number of batches of an epoch, and an iterator over them; an incomplete last one only if it is the only one.

    `samples`: of a segment. `count`: utterances of the epoch; 0: all. `workers` read ahead, without an effect on
    batches. `key` seeds the draws.
    """
    order = epoch_order(pairs.utts, count, *key)
    whole = len(order) // batch_size * batch_size
    segments = [Segment(utt, pairs.files(utt), samples, place) for utt, place in order[: whole or None]]
    groups = [segments[start : start + batch_size] for start in range(0, len(segments), batch_size)]
    return len(groups), _read_ahead(groups, workers)


def _read_ahead(groups: Sequence[Sequence[Segment]], workers: Workers | None) -> Iterator[SegmentBatch]:
    """Batches in order; while they are used, worker processes read the following ones."""
    if workers is None:
        for group in groups:
            yield _stack(group, [read_segment(segment) for segment in group])
        return
    chunks = [groups[start : start + AHEAD] for start in range(0, len(groups), AHEAD)]

    def read(chunk: Sequence[Sequence[Segment]]) -> list[Pair]:
        return workers.map(read_segment, [segment for group in chunk for segment in group])

    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(read, chunks[0])
        for number, chunk in enumerate(chunks, 1):
            found = iter(reading.result())
            if number < len(chunks):
                reading = thread.submit(read, chunks[number])
            for group in chunk:
                yield _stack(group, [next(found) for _ in group])


def _stack(group: Sequence[Segment], pairs: Sequence[Pair]) -> SegmentBatch:
    noisy, clean = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    return SegmentBatch([segment.utt for segment in group], noisy, clean)
