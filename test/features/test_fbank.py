"""Log mel filter banks: Kaldi's, of as many frames as Kaldi has."""

import math

import numpy as np
import pytest
import torch
import torchaudio
from near import amplitudes, assert_near

from trnet.config import Fbank
from trnet.features.fbank import fbank


def hiss(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32))


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(399, 0), (400, 1), (559, 1), (560, 2), (16000, 98), (400 + 499 * 160, 500), (80000, 498), (0, 0)],
)
def test_only_whole_windows_are_frames(samples, frames):
    assert Fbank().num_frames(samples) == frames
    if frames:
        assert fbank(hiss(samples), Fbank()).shape == (frames, 80)


def test_longer_speech_is_cut_to_max_frames():
    wav = hiss(100_000)
    assert torch.equal(fbank(wav, Fbank()), fbank(wav[: Fbank().span], Fbank()))
    assert fbank(wav, Fbank(max_frames=7)).shape == (7, 80)


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_less_than_one_frame_is_refused(samples):
    with pytest.raises(ValueError, match=f"{samples} samples .*25 ms"):
        fbank(hiss(samples), Fbank())


def test_it_is_the_kaldi_fbank_of_16_bit_samples():
    wav = hiss(8000)
    expected = torchaudio.compliance.kaldi.fbank((wav * 32768)[None], num_mel_bins=80, dither=0, sample_frequency=16000)
    assert torch.equal(fbank(wav, Fbank()), expected)


def test_louder_by_20_db_is_more_by_the_logarithm_of_100():
    """Natural logarithm of the energy, without dither; pre-emphasis and mean removal are linear."""
    wav = hiss(4000)
    louder = fbank(wav, Fbank()) + math.log(100)
    assert_near(amplitudes(fbank(10 * wav, Fbank())), amplitudes(louder), roundings=100)


def test_a_tone_lies_in_the_mel_bin_of_its_frequency():
    """80 triangles from 20 to 8000 Hz, equally wide in mel = 1127 ln(1 + f / 700)."""
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(8000) / 16000) * 0.5

    def mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    step = (mel(8000) - mel(20)) / 81
    nearest = round((mel(1000) - mel(20)) / step) - 1
    assert fbank(tone, Fbank()).mean(0).argmax().item() == nearest


@pytest.mark.parametrize("change", [{"window": "hamming"}, {"low_freq": 0.0}, {"high_freq": 4000.0}])
def test_the_settings_reach_the_spectrogram(change):
    wav = hiss(4000)
    assert not torch.allclose(fbank(wav, Fbank(**change)), fbank(wav, Fbank()), atol=1e-2)


def test_digital_silence_is_finite():
    assert fbank(torch.zeros(4000), Fbank()).isfinite().all()
