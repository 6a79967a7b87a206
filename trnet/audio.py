"""Reading speech and noise: any rate, channel count and container that libsndfile reads."""

import functools
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from trnet.errors import TrnetError
from trnet.files import write_bytes

SILENCE_RMS = 1e-5  # -100 dB of full scale: below this a recording holds no signal
ZERO_CROSSINGS, ROLLOFF = 6, 0.99  # of torchaudio's Resample, a windowed sinc
LARGEST_BANK = 1_000_000  # coefficients of all its filters together

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


@functools.lru_cache(maxsize=8)
def resampler(rate_in: int, rate_out: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from samples (n,) float32 at one rate, Hz, to those at another, by torchaudio's default filter.

    torchaudio has a filter of its own for each of the output's places between two samples of the input; where these
    are thousands, as from 44,101 Hz, scipy goes through one long filter instead.
    """
    old, new = (rate // math.gcd(rate_in, rate_out) for rate in (rate_in, rate_out))
    if new * (2 * filter_width(old, new) + old) > LARGEST_BANK:
        return functools.partial(_resampled_by_scipy, old=old, new=new)
    import torch  # here, because it takes seconds and most corpora need no resampling
    import torchaudio

    resample = torchaudio.transforms.Resample(rate_in, rate_out)
    return lambda samples: resample(torch.from_numpy(samples)).numpy()


def filter_width(old: int, new: int) -> int:
    """Samples of the input that one of the output hears on either side, of rates without a common divisor."""
    return math.ceil(ZERO_CROSSINGS * old / (min(old, new) * ROLLOFF))


def _resampled_by_scipy(samples: np.ndarray, old: int, new: int) -> np.ndarray:
    import scipy.signal  # here, because it takes half a second

    crossing = max(old, new) / ROLLOFF  # samples at old * new Hz
    reach = math.floor(ZERO_CROSSINGS * crossing)
    time = np.arange(-reach, reach + 1) / crossing
    taps = np.sinc(time) * np.cos(np.pi / 2 * time / ZERO_CROSSINGS) ** 2 / crossing
    return scipy.signal.resample_poly(samples.astype(np.float64), new, old, window=taps).astype(np.float32)


def _decode(path: Path, start_s: float = 0.0, end_s: float | None = None) -> tuple[np.ndarray, int, int]:
    """Mono float32 samples, sampling rate in Hz, number of channels."""
    try:
        with soundfile.SoundFile(str(path)) as sound:
            rate, channels = sound.samplerate, sound.channels
            first = round(start_s * rate)
            sound.seek(first)
            count = -1 if end_s is None else round(end_s * rate) - first
            samples = sound.read(frames=count, dtype="float32", always_2d=True)
    except FileNotFoundError:
        raise TrnetError(f"{path}: no such audio file; mend the path in wav.scp") from None
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        hint = "replace the file" if Path(path).exists() else "no such file; mend the path in wav.scp"
        raise TrnetError(f"{path}: cannot be read as audio ({error}); {hint}") from None
    if len(samples) == 0:
        raise TrnetError(f"{path}: holds no samples; replace the file or remove its utterance")
    if not np.isfinite(samples).all():
        raise TrnetError(f"{path}: holds NaN or infinite samples; replace the file")
    return samples.mean(axis=1), rate, channels


def inspect_audio(path: Path, start_s: float = 0.0, end_s: float | None = None) -> AudioInfo:
    """Decode a recording to the end and say what it is.

    Raises: TrnetError if it cannot be decoded, is empty, or holds NaN.
    """
    samples, rate, channels = _decode(path, start_s, end_s)
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return AudioInfo(rate, channels, len(samples) / rate, rms)


def read_audio(path: Path, rate: int, start_s: float = 0.0, end_s: float | None = None) -> np.ndarray:
    """Samples (n,) float32 at `rate` Hz: channels averaged, resampled where the file has another rate.

    Raises: TrnetError if the file cannot be decoded, is empty, or holds NaN.
    """
    samples, own_rate, _ = _decode(path, start_s, end_s)
    if own_rate != rate:
        samples = resampler(own_rate, rate)(samples)
    return samples


def write_audio(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write samples (n,) as 32-bit float WAV: no clipping, no rounding; whole or not at all.

    Whoever declares them done calls `trnet.files.flush_disks` before.
    """
    import scipy.io.wavfile  # here, because it takes half a second and reading does without

    encoded = io.BytesIO()  # not by libsndfile: it writes the time of day into the file, and hides why a write failed
    scipy.io.wavfile.write(encoded, rate, np.ascontiguousarray(samples, dtype=np.float32))
    write_bytes(path, encoded.getvalue(), durable=False)
