"""Recordings of any length, rate and channel count, read a second at a time and cut into windows.

The rules are those of `trnet.audio`: channels are averaged, other sampling rates resampled; what comes out is what
`trnet.audio.read_audio` gives for the whole file, piece by piece.
"""

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from trnet.audio import filter_width, resampler
from trnet.errors import TrnetError

BLOCK = 262_144  # samples of all channels that are decoded at once

Resampler = Callable[[int, int], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class Recording:
    """Something to predict: what to call it, and its audio.

    blocks: gives its own rate in Hz, its length in seconds (None: unknown) and its mono samples, a block at a time.
    """

    name: str
    blocks: Callable[[], tuple[int, float | None, Iterable[np.ndarray]]]


@dataclass(frozen=True)
class Piece:
    """Samples (n,) float32 of a recording from a place on, in samples."""

    start: int
    samples: np.ndarray


def of_file(path: Path, name: str | None = None) -> Recording:
    """The recording in a file of any kind that libsndfile reads."""
    name = str(path) if name is None else name
    where = name if name == str(path) else f"{name}: {path}"
    return Recording(name, lambda: _decoded(path, where))


def of_stdin() -> Recording:
    """The recording on standard input; it is put into a temporary file, as decoders seek."""

    def blocks() -> tuple[int, float | None, Iterable[np.ndarray]]:
        if sys.stdin is None:
            raise TrnetError("standard input: is closed")
        spool = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the blocks are read)
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.seek(0)
        return _decoded(spool, "standard input")

    return Recording("-", blocks)


def of_samples(wav: Any, rate: int, name: str = "wav") -> Recording:
    """The recording in an array: (n,), or two-dimensional with the shorter axis for the channels.

    Floats are in [-1, 1], integers of their type's full scale.

    Raises: TrnetError for another shape or type, or samples that are not finite.
    """
    samples = np.asarray(wav)
    whole = isinstance(rate, int | float | np.number) and 1 <= rate < 1e9 and rate == int(rate)
    if samples.ndim not in (1, 2) or not whole or samples.dtype.kind not in "fi":
        raise TrnetError(
            f"{name}: is no audio (shape {samples.shape}, {samples.dtype}, rate {rate!r}); "
            "give samples (n,) and whole Hz"
        )
    rate = int(rate)
    if samples.dtype.kind == "i":
        samples = samples / (np.iinfo(samples.dtype).max + 1.0)
    samples = samples.astype(np.float32)
    if samples.ndim == 2:
        samples = samples.mean(axis=int(samples.shape[1] <= samples.shape[0]))

    def blocks() -> tuple[int, float | None, Iterable[np.ndarray]]:
        cut = (samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK))
        return rate, len(samples) / rate, _checked(cut, rate, name)

    return Recording(name, blocks)


def _decoded(file: Any, name: str) -> tuple[int, float | None, Iterable[np.ndarray]]:
    try:
        sound = soundfile.SoundFile(os.fsencode(file) if isinstance(file, Path) else file)  # a name may be no text
    except soundfile.LibsndfileError as error:
        there = not isinstance(file, Path) or file.exists()
        what = "is no audio that libsndfile reads" if there else "no such file"
        raise TrnetError(f"{name}: {what} ({error.error_string})") from None
    except (RuntimeError, TypeError, ValueError, OSError) as error:
        raise TrnetError(f"{name}: is no audio that libsndfile reads ({error})") from None
    rate = sound.samplerate
    seconds = sound.frames / rate if 0 < sound.frames < 2**40 else None

    def blocks() -> Iterator[np.ndarray]:
        with sound:
            frames = max(1, BLOCK // sound.channels)
            while True:
                try:
                    block = sound.read(frames, dtype="float32", always_2d=True)
                except (soundfile.LibsndfileError, RuntimeError) as error:
                    raise TrnetError(f"{name}: cannot be decoded to its end ({error})") from None
                if not len(block):
                    return
                yield block.mean(axis=1)

    return rate, seconds, _checked(blocks(), rate, name)


def _checked(blocks: Iterable[np.ndarray], rate: int, name: str) -> Iterator[np.ndarray]:
    place = 0
    for block in blocks:
        finite = np.isfinite(block)
        if not finite.all():
            at = (place + int(np.argmin(finite))) / rate
            raise TrnetError(f"{name}: holds NaN or infinite samples (from {at:.3f} s on)")
        place += len(block)
        yield block
    if not place:
        raise TrnetError(f"{name}: holds no samples")


def resampled(
    blocks: Iterable[np.ndarray], rate_in: int, rate_out: int, make: Resampler = resampler
) -> Iterator[np.ndarray]:
    """Blocks at another rate, together what resampling the whole at once gives.

    The filter takes `o` samples to `n` at a time; a piece is resampled with as many neighbours as the filter reaches.
    `make` gives the function that does it, with torchaudio's filter.
    """
    if rate_in == rate_out:
        yield from blocks
        return
    o, n = rate_in // math.gcd(rate_in, rate_out), rate_out // math.gcd(rate_in, rate_out)
    width = filter_width(o, n)
    resample = make(rate_in, rate_out)
    margin = math.ceil(width / o) * o
    step = max(1, round(rate_in / o)) * o
    held, before = np.zeros(0, np.float32), 0  # samples not done yet, and how many in front are done: neighbours only
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= before + step + margin:
            out = resample(held[: before + step + margin])
            yield out[before // o * n : (before + step) // o * n]
            drop = before + step - margin
            if drop > 0:
                held, before = held[drop:], margin
            else:
                before += step
    if len(held) > before:
        yield resample(held)[before // o * n :]


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
