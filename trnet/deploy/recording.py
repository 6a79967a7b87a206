"""Recordings of any length, rate and channel count, read a second at a time and cut into windows.

The rules are those of `trnet.audio.reading`: channels are averaged, other sampling rates resampled; what comes out is
what `trnet.audio.reading.read_audio` gives for the whole file, piece by piece.
"""

import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from trnet.audio.decoding import BLOCK, Mix, check_rate, finite, open_sound
from trnet.audio.pipes import piped
from trnet.audio.resampling import Resampler
from trnet.utils.errors import TrnetError

Blocks = tuple[int, float | None, Iterable[np.ndarray]]


@dataclass(frozen=True)
class Recording:
    """Something to predict: what to call it, and its audio.

    blocks: gives its own rate in Hz, its length in seconds (None: unknown) and its mono samples, a block at a time.
    """

    name: str
    blocks: Callable[[], Blocks]


@dataclass(frozen=True)
class Piece:
    """Samples (n,) float32 of a recording from a place on, in samples."""

    start: int
    samples: np.ndarray


def of_file(path: Path, name: str | None = None, channel: int | None = None) -> Recording:
    """The recording in a file of any kind that libsndfile reads; `channel`: which one, None: the mean of all."""
    name = str(path) if name is None else name
    where = name if name == str(path) else f"{name}: {path}"
    return Recording(name, lambda: _decoded(path, where, channel))


def of_stdin(channel: int | None = None) -> Recording:
    """The recording on standard input; it is put into a temporary file, as decoders seek."""

    def blocks() -> Blocks:
        if sys.stdin is None:
            raise TrnetError("standard input: is closed")
        spool = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the blocks are read)
        shutil.copyfileobj(sys.stdin.buffer, spool)
        return _decoded(spool, "standard input", channel)

    return Recording("-", blocks)


def of_command(command: str, name: str, channel: int | None = None) -> Recording:
    """What the programs of a Kaldi list's entry ``command |`` write; they run when it is read."""

    def blocks() -> Blocks:
        return _decoded(piped(command, name), name, channel)

    return Recording(name, blocks)


def of_samples(wav: Any, rate: int, name: str = "wav", channel: int | None = None) -> Recording:
    """The recording in an array: (n,), or two-dimensional with the shorter axis for the channels.

    Floats are in [-1, 1], integers of their type's full scale. `channel`: which one, None: the mean of all.

    Raises: TrnetError for another shape or type, or a rate that no recording has.
    """
    samples = np.asarray(wav)
    whole = isinstance(rate, int | float | np.number) and math.isfinite(rate) and rate == int(rate)
    if samples.ndim not in (1, 2) or not whole or samples.dtype.kind not in "fi":
        raise TrnetError(
            f"{name}: is no audio (shape {samples.shape}, {samples.dtype}, rate {rate!r}); "
            "give samples (n,) and whole Hz"
        )
    rate = int(rate)
    check_rate(rate, name)
    if samples.dtype.kind == "i":
        samples = samples / (np.iinfo(samples.dtype).max + 1.0)
    samples = samples.astype(np.float32)
    if samples.ndim == 1 or not samples.size:
        samples = samples.reshape(-1, 1)
    elif samples.shape[0] < samples.shape[1]:
        samples = samples.T

    def blocks() -> Blocks:
        mix = Mix(samples.shape[1], channel, name)

        def cut() -> Iterator[np.ndarray]:
            yield from (mix(samples[start : start + BLOCK]) for start in range(0, len(samples), BLOCK))
            mix.check()

        return rate, len(samples) / rate, finite(cut(), rate, name)

    return Recording(name, blocks)


def _decoded(file: Path | BinaryIO, where: str, channel: int | None) -> Blocks:
    sound = open_sound(file, where)
    return sound.rate, sound.frames and sound.frames / sound.rate, sound.mono(channel)


def resampled(blocks: Iterable[np.ndarray], rate_in: int, rate_out: int) -> Iterator[np.ndarray]:
    """Blocks (n,) at `rate_in` Hz as blocks at `rate_out` Hz, together what `trnet.audio.resampling.resample` gives."""
    if rate_in == rate_out:
        yield from blocks
        return
    resampler = Resampler(rate_in, rate_out)
    yield from map(resampler, blocks)
    yield resampler.finish()


def windows(chunks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[Piece]:
    """Pieces of `length` samples every `hop`; the last one is moved back to end where the recording does.

    What is no longer than `length` is one piece. All but a piece, a hop and a chunk is forgotten.
    """
    held, base, start, last = np.zeros(0, np.float32), 0, 0, None
    for chunk in chunks:
        held = np.concatenate([held, chunk])
        while base + len(held) > start + length:
            yield Piece(start, held[start - base : start - base + length])
            last, start = start, start + hop
            held, base = held[last - base :], last
    total = base + len(held)
    if last is None or start < total:
        final = max(0, total - length)
        yield Piece(final, held[final - base :])
