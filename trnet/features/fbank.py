"""Kaldi's log mel filter banks, the LMFB spectrograms X of Section 3.2."""

import torchaudio
from torch import Tensor

from trnet.audio.crop import num_frames
from trnet.config.experiment import Features

INT16_SCALE = 32768.0  # Kaldi reads 16-bit integers


def fbank(wav: Tensor, features: Features) -> Tensor:
    """Log-mel features of one clip, without dither (so that they are a function of the audio).

    Args:
        wav: (samples,) float32 in [-1, 1].
        features: Settings.

    Returns: (frames, mels) float32, natural logarithm of the mel energies of wav x 32768, at most `max_frames` long.

    Raises: ValueError if the clip is shorter than one frame.
    """
    assert wav.ndim == 1, wav.shape
    if num_frames(len(wav), features) < 1:
        raise ValueError(f"{len(wav)} samples are shorter than one frame of {features.frame_length:g} ms")
    lmfb = torchaudio.compliance.kaldi.fbank(
        wav[None] * INT16_SCALE,
        sample_frequency=features.sample_rate,
        num_mel_bins=features.num_mel_bins,
        frame_length=features.frame_length,
        frame_shift=features.frame_shift,
        window_type=features.window,
        low_freq=features.low_freq,
        high_freq=features.high_freq,
        dither=0.0,
    )
    return lmfb[: features.max_frames]
