"""Recordings of any length, rate and channel count, read a block at a time and cut into windows.

The rules are those of `trnet.audio.reading`: channels are averaged, other sampling rates resampled; the windows hold
the samples that `trnet.audio.reading.read_audio` gives for the whole file.
"""

import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from trnet.audio.decoding import BLOCK, Mix, check_rate, finite, open_sound
from trnet.audio.pipes import piped
from trnet.audio.resampling import Resampler
from trnet.utils.errors import TrnetError


class Stream(NamedTuple):
    """An opened recording: its own rate in Hz, length in seconds (None: unknown), mono blocks (n,) float32."""

    rate: int
    seconds: float | None
    blocks: Iterable[np.ndarray]


@dataclass(frozen=True)
class Recording:
    """An input of prediction: its name in the output, and a function that opens it."""

    name: str
    open: Callable[[], Stream]


@dataclass(frozen=True)
class Window:
    """Samples (n,) float32 of a recording; `start`: the place of the first of them."""

    start: int
    samples: np.ndarray


def from_file(path: Path, name: str | None = None, channel: int | None = None) -> Recording:
    """The recording in a file that libsndfile reads; `channel`: from 0; None: the mean of all."""
    name = str(path) if name is None else name
    where = name if name in (str(path), path.name) else f"{name}: {path}"
    return Recording(name, lambda: _decoded(path, where, channel))


def from_stdin(channel: int | None = None) -> Recording:
    """The recording on standard input, which is copied into a temporary file, as decoders seek."""

    def opened() -> Stream:
        if sys.stdin is None:
            raise TrnetError("standard input: is closed")
        spool = tempfile.TemporaryFile()  # noqa: SIM115 (closed behind the last block)
        shutil.copyfileobj(sys.stdin.buffer, spool)
        return _decoded(spool, "standard input", channel)

    return Recording("-", opened)


def from_command(command: str, name: str, channel: int | None = None) -> Recording:
    """The output of a wav.scp entry ``command |``, which runs when the recording is opened."""
    return Recording(name, lambda: _decoded(piped(command, name), name, channel))


def from_samples(wav: Any, rate: int, name: str = "wav", channel: int | None = None) -> Recording:
    """The recording in an array: (samples,), or two axes of which the shorter is the channels.

    Floats are in [-1, 1], signed integers of their type's full scale.

    Raises:
        TrnetError: For another shape or type, or an impossible rate.
    """
    samples = np.asarray(wav)
    is_rate = isinstance(rate, int | float | np.number) and math.isfinite(rate) and rate == int(rate)
    if samples.ndim not in (1, 2) or not is_rate or samples.dtype.kind not in "fi":
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

    def opened() -> Stream:
        mix = Mix(samples.shape[1], channel, name)

        def blocks() -> Iterator[np.ndarray]:
            yield from (mix(samples[start : start + BLOCK]) for start in range(0, len(samples), BLOCK))
            mix.check()

        return Stream(rate, len(samples) / rate, finite(blocks(), rate, name))

    return Recording(name, opened)


def _decoded(file: Path | BinaryIO, where: str, channel: int | None) -> Stream:
    sound = open_sound(file, where)
    return Stream(sound.rate, sound.frames and sound.frames / sound.rate, sound.mono(channel))


def resampled(blocks: Iterable[np.ndarray], rate_in: int, rate_out: int) -> Iterator[np.ndarray]:
    """Blocks (n,) at `rate_in` Hz as blocks at `rate_out` Hz, together what `trnet.audio.resampling.resample` gives."""
    if rate_in == rate_out:
        yield from blocks
        return
    resampler = Resampler(rate_in, rate_out)
    yield from map(resampler, blocks)
    yield resampler.finish()


def split(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[Window]:
    """Windows of `length` samples every `hop`; the last one is moved back to end where the recording does.

    A shorter recording is one window. No more than a window, a hop and a block is in memory.
    """
    kept, base, start, last = np.zeros(0, np.float32), 0, 0, None
    for block in blocks:
        kept = np.concatenate([kept, block])
        while base + len(kept) > start + length:
            yield Window(start, kept[start - base : start - base + length])
            last, start = start, start + hop
            kept, base = kept[last - base :], last
    total = base + len(kept)
    if last is None or start < total:
        final = max(0, total - length)
        yield Window(final, kept[final - base :])
