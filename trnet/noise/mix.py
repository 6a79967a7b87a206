"""Mixing speech and noise at a signal-to-noise ratio that is exact on the cropped utterance."""

import numpy as np

from trnet.audio.reading import SILENCE_RMS


def noise_segment(noise: np.ndarray, start: int, length: int) -> np.ndarray:
    """`length` samples of `noise` (n,) from sample `start` on; a clip that ends before is repeated."""
    assert noise.ndim == 1 and 0 <= start < len(noise), (noise.shape, start)
    return np.take(noise, np.arange(start, start + length), mode="wrap")


def energy(samples: np.ndarray) -> float:
    """Sum of squares in float64."""
    return float(np.sum(np.square(samples, dtype=np.float64)))


def is_silent(samples: np.ndarray) -> bool:
    """Whether the RMS lies below `SILENCE_RMS`."""
    return energy(samples) < len(samples) * SILENCE_RMS**2


def mix_at_snr(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """speech + g * noise with 10 log10(sum speech^2 / sum (g noise)^2) = `snr_db`; all (n,) float32.

    The speech keeps its level, so clean, noisy and target features share one scale; nothing is clipped (a peak above
    1 is stored as it is, in float).

    Raises:
        ValueError: If speech or noise is silent: no gain gives that SNR.
    """
    assert speech.shape == noise.shape and speech.ndim == 1, (speech.shape, noise.shape)
    for name, samples in (("speech", speech), ("noise", noise)):
        if is_silent(samples):
            raise ValueError(f"{name} is silent on this span")
    gain = np.sqrt(energy(speech) / energy(noise)) * 10 ** (-snr_db / 20)
    return (speech.astype(np.float64) + gain * noise.astype(np.float64)).astype(np.float32)
