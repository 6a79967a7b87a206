"""Reading speech and noise: any rate, channel count and container that libsndfile reads."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from trnet.audio.bitstreams import Damaged
from trnet.audio.containers import check_container
from trnet.audio.decoding import open_sound
from trnet.audio.resampling import resample
from trnet.utils.files import write_bytes

logger = logging.getLogger(__name__)

SILENCE_RMS = 1e-5  # -100 dB of full scale: below this a recording holds no signal

# What libsndfile reads by these names; other files (and hidden ones, as macOS leaves them) are not audio.
AUDIO_SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .snd .caf .w64 .rf64 .sph .nist .voc".split()
)


@dataclass(frozen=True)
class AudioInfo:
    """What a decoded recording is: its own rate and channels, length in seconds, RMS of the mono mix."""

    sample_rate: int
    channels: int
    seconds: float
    rms: float


def is_audio(path: Path) -> bool:
    """Whether a file's name is that of a recording; hidden files are none."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def decode(
    file: Path | BinaryIO,
    start_s: float = 0.0,
    end_s: float | None = None,
    channel: int | None = None,
    where: str | None = None,
) -> tuple[np.ndarray, int, int]:
    """Mono samples (n,) float32 of the span [start_s, end_s) seconds, their rate in Hz, and the number of channels.

    `channel` counts from 0; None: the mean of all. A recording of one channel has no other. `where`: for messages.

    Raises:
        TrnetError: If it cannot be decoded, is empty, cut short or holds NaN, or its channels cancel.
    """
    sound = open_sound(file, where)
    blocks = list(sound.mono(channel, start_s, end_s))
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks), sound.rate, sound.channels


def inspect_audio(
    path: Path, start_s: float = 0.0, end_s: float | None = None, channel: int | None = None
) -> AudioInfo:
    """Decode a recording to the end and say what it is."""
    samples, rate, channels = decode(path, start_s, end_s, channel)
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return AudioInfo(rate, channels, len(samples) / rate, rms)


def read_audio(
    file: Path | BinaryIO,
    rate: int,
    start_s: float = 0.0,
    end_s: float | None = None,
    channel: int | None = None,
    where: str | None = None,
) -> np.ndarray:
    """Samples (n,) float32 at `rate` Hz, resampled where the file has another; the rest as for :func:`decode`."""
    samples, own_rate, _ = decode(file, start_s, end_s, channel, where)
    return resample(samples, own_rate, rate)


def is_whole(path: Path) -> bool:
    """Whether a WAV that `write_audio` wrote is there, and not cut as by a power loss; only its header is read."""
    try:
        with open(path, "rb") as stream:
            check_container(stream)
            return stream.read(4) == b"RIFF"
    except (OSError, Damaged):
        return False


def lost(folder: Path, files: Sequence[Path]) -> bool:
    """Whether one of the files that make up a finished folder is gone or cut short, which is logged."""
    count = sum(not is_whole(path) for path in files)
    if count:
        logger.info("%s: %d of %d files are gone or cut short; they are made again", folder, count, len(files))
    return count > 0


def write_audio(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write samples (n,) as 32-bit float WAV: no clipping, no rounding; whole or not at all.

    Whoever declares them done calls `trnet.utils.files.flush_disks` before.
    """
    import scipy.io.wavfile  # here, because it takes half a second and reading does without

    encoded = io.BytesIO()  # not by libsndfile: it writes the time of day into the file, and hides why a write failed
    scipy.io.wavfile.write(encoded, rate, np.ascontiguousarray(samples, dtype=np.float32))
    write_bytes(path, encoded.getvalue(), durable=False)
