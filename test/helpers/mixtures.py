"""Noisy audio made again from a manifest, and the SNR that it has."""

import numpy as np

from trnet.audio.crop import read_clip, read_cropped
from trnet.config import Features
from trnet.kaldi.data_dir import DataDir
from trnet.noise.manifest import mixture
from trnet.noise.mix import energy


def measured_snr(speech: np.ndarray, noisy: np.ndarray) -> float:
    """SNR in dB of a mixture (n,) whose speech (n,) is known."""
    return 10 * np.log10(energy(speech) / energy(noisy.astype(np.float64) - speech))


def remix(noisy: DataDir, speech: DataDir, noise: DataDir, utt: str, features: Features) -> np.ndarray:
    """The audio (n,) of a noisy utterance, to the sample."""
    clip, start = noisy["utt2noise"][utt].split()
    cropped = read_cropped(speech.clip(noisy["utt2clean"][utt]), features)
    samples = read_clip(noise.clip(clip), features.sample_rate)
    return mixture(cropped, samples, int(start), float(noisy["utt2snr"][utt]))
