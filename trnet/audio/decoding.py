"""Decoding of recordings, a block at a time: what is damaged, cut short or no audio at all is refused by name.

One way for the stages, which read utterances whole, and for trnet-predict, which reads hours in pieces.
"""

import contextlib
import math
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from trnet.audio.bitstreams import MPEG_SLACK, Damaged
from trnet.audio.containers import check_container
from trnet.utils.errors import TrnetError

BLOCK = 262_144  # samples of all channels that are decoded at once
LOWEST_HZ, HIGHEST_HZ = 1_000, 1_000_000  # sampling rates of recordings
CANCELLED = 0.01  # of the power that channels without anything in common leave in their mean: 20 dB
UNKNOWN = 1 << 40  # samples: longer is what libsndfile says where it does not know
FOREIGN = frozenset(".m4a .m4b .mp4 .aac .wma .webm .mkv .mov .amr .3gp .ape .wv .mpc .ra .ac3 .dsf .avi".split())


class _Forward(soundfile.SoundFile):
    """Read from front to back, without the seeks after each block, which fail in FLAC of unknown length."""

    def seekable(self) -> bool:
        return False


class Sound:
    """An opened recording.

    Attributes:
        where: what to call it in messages.
        rate: Hz.
        channels: how many.
        frames: samples a channel, as far as is known before decoding; None: unknown.
    """

    def __init__(self, sound: soundfile.SoundFile, where: str, least: int, closing: contextlib.ExitStack) -> None:
        self._sound, self._least, self._closing = sound, least, closing
        self.where, self.rate, self.channels = where, sound.samplerate, sound.channels
        self.frames = sound.frames if 0 < sound.frames < UNKNOWN else None

    def mono(
        self, channel: int | None = None, start_s: float = 0.0, end_s: float | None = None
    ) -> Iterator[np.ndarray]:
        """Blocks (n,) float32 of the span [start_s, end_s) seconds; the recording is closed behind the last.

        `channel` counts from 0; None: the mean of all. A recording of one channel has no other.

        Raises:
            TrnetError: If it is cut short, empty, not finite, without that channel, or its channels cancel.
        """
        with self._closing:
            mix = Mix(self.channels, channel, self.where)
            yield from finite(map(mix, self._blocks(start_s, end_s)), self.rate, self.where)
            mix.check()

    def close(self) -> None:
        """Close it without reading."""
        self._closing.close()

    def _blocks(self, start_s: float, end_s: float | None) -> Iterator[np.ndarray]:
        first = round(start_s * self.rate)
        stop = UNKNOWN if self.frames is None else self.frames  # behind it there may be tags
        wanted = None if end_s is None else round(end_s * self.rate)
        done, size = first, max(1, BLOCK // self.channels)
        try:
            if first:
                self._sound.seek(min(first, stop))
            while (left := min(stop, stop if wanted is None else wanted) - done) > 0:
                block = self._sound.read(min(size, left), dtype="float32", always_2d=True)
                if not len(block):
                    break
                done += len(block)
                yield block
        except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
            what = "cannot be decoded to its end" if not first else f"cannot be decoded from {start_s:g} s on"
            raise TrnetError(f"{self.where}: {what} ({_reason(error)})", "replace the file") from None
        if wanted is not None and done < wanted - 1 or done > stop:
            ends = min(done, stop) / self.rate
            raise TrnetError(f"{self.where}: ends after {ends:.2f} s, before what is asked for", "replace the file")
        if wanted is None and done < self._expected():
            seconds = f"{done / self.rate:.3f} s of the {self._expected() / self.rate:.3f} s"
            reason = f"{self.where}: {seconds} that it states can be decoded"
            raise TrnetError(reason, "fetch it again, or re-encode it")

    def _expected(self) -> int:
        stated = self.frames or 0
        return max(self._least, stated - MPEG_SLACK if self._sound.format == "MP3" else stated)


class Mix:
    """One channel of blocks (n, channels), or their mean, which must not lose what the channels hold.

    Channels without anything in common leave 1 / channels of their mean power in the mean. Where less than a hundredth
    of that is left (two channels: 23 dB below their power), they cancel, as where one of them has its sign reversed.
    """

    def __init__(self, channels: int, channel: int | None, where: str) -> None:
        if channel is not None and not 0 <= channel < channels and channels > 1:
            raise TrnetError(
                f"{where}: has no channel {channel}, it has 0 to {channels - 1}", "give one of these or mean"
            )
        self.channels, self.where = channels, where
        self.channel = 0 if channels == 1 else channel
        self.power = self.left = 0.0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """(n, channels) to (n,)."""
        if self.channel is not None:
            return np.ascontiguousarray(block[:, self.channel])
        mean = block.mean(axis=1)
        with np.errstate(all="ignore"):  # `finite` reports what is not
            self.power += float(np.square(block, dtype=np.float64).sum())
            self.left += float(np.square(mean, dtype=np.float64).sum())
        return mean

    def check(self) -> None:
        """Check that the channels have not cancelled each other.

        Raises:
            TrnetError: If the channels cancelled, taken over all blocks.
        """
        alone = self.power / self.channels**2  # of the mean of channels without anything in common
        if self.channel is None and self.left < CANCELLED * alone:
            lost = 10 * math.log10(self.power / self.channels / max(self.left, 1e-99))
            raise TrnetError(
                f"{self.where}: its {self.channels} channels cancel, their mean is {min(lost, 999):.0f} dB below them",
                "take one of them (--channel 0)",
            )


def open_sound(file: Path | BinaryIO, where: str | None = None) -> Sound:
    """Open a recording (a path, or a seekable stream called `where` in messages) of any kind that libsndfile reads.

    Raises:
        TrnetError: If it is missing, no regular file, no audio, of an impossible rate, or not what it states.
    """
    where = str(file) if where is None else where
    with contextlib.ExitStack() as stack:
        if isinstance(file, Path):
            if not file.is_file():
                raise TrnetError(f"{where}: {_no_file(file)}")
            try:
                stream: Any = stack.enter_context(open(file, "rb"))
            except OSError as error:
                raise TrnetError(f"{where}: cannot be opened ({error.strerror})", "mend that") from None
        else:
            stream = stack.enter_context(file)
        try:
            if not stream.seek(0, os.SEEK_END):
                mend = "replace the file, or leave it out" if isinstance(file, Path) else "see what writes to it"
                raise TrnetError(f"{where}: is empty (0 bytes)", mend)
            least = check_container(stream)
            sound = stack.enter_context(_Forward(os.fsencode(file) if isinstance(file, Path) else stream))
        except Damaged as error:
            raise TrnetError(f"{where}: {error.reason}", error.mend) from None
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError, OSError) as error:
            raise TrnetError(f"{where}: cannot be read as audio ({_reason(error)})", _mend(file)) from None
        check_rate(sound.samplerate, where)
        return Sound(sound, where, least, stack.pop_all())


def check_rate(rate: int, where: str) -> None:
    """Check a sampling rate.

    Raises:
        TrnetError: For a sampling rate that no recording has.
    """
    if not LOWEST_HZ <= rate <= HIGHEST_HZ:
        raise TrnetError(f"{where}: states {rate} Hz, which no recording has", "replace the file")


def finite(blocks: Iterable[np.ndarray], rate: int, where: str) -> Iterator[np.ndarray]:
    """The blocks (n,), which hold numbers, and one at least."""
    place = 0
    for block in blocks:
        good = np.isfinite(block)
        if not good.all():
            at = (place + int(np.argmin(good))) / rate
            raise TrnetError(f"{where}: holds NaN or infinite samples (from {at:.3f} s on)", "replace the file")
        place += len(block)
        yield block
    if not place:
        raise TrnetError(f"{where}: holds no samples", "replace the file, or leave it out")


def _no_file(file: Path) -> str:
    if not os.path.lexists(file):
        return "no such file; mend the path, or name another"
    if not file.exists():
        return "is a link to nothing; mend it"
    return "is a folder; name a file in it" if file.is_dir() else "is a pipe or device; give a file"


def _reason(error: Exception) -> str:
    return " ".join(getattr(error, "error_string", str(error)).split()).rstrip(".")


def _mend(file: Any) -> str:
    if isinstance(file, Path) and file.suffix.lower() in FOREIGN:
        name = os.fsencode(file).decode(errors="backslashreplace")
        return f"convert it: ffmpeg -i {shlex.quote(name)} {shlex.quote(str(Path(name).with_suffix('.wav')))}"
    return "replace the file"
