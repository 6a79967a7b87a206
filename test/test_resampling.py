"""Any rate to any other: scipy's way with rates that have no small ratio is torchaudio's filter."""

import numpy as np
import pytest
from near import assert_near

from trnet.audio import reading as audio


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44100, 16000), (16000, 44100), (24000, 16000), (8000, 16000)])
def test_one_long_filter_does_what_torchaudios_many_do(monkeypatch, rate_in, rate_out):
    wav = np.random.default_rng(0).uniform(-1, 1, 5003).astype(np.float32)
    expected = audio.resampler.__wrapped__(rate_in, rate_out)(wav)
    monkeypatch.setattr(audio, "LARGEST_BANK", 0)
    long = audio.resampler.__wrapped__(rate_in, rate_out)
    assert long.func is audio._resampled_by_scipy
    assert_near(long(wav), expected)


@pytest.mark.parametrize("rate", [24414, 44101])
def test_a_tone_at_a_rate_without_a_small_ratio_stays_a_tone(rate):
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    heard = audio.resampler(rate, 16000)(tone)
    assert heard.dtype == np.float32 and len(heard) == 16000
    expected = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    np.testing.assert_allclose(heard[100:-100], expected[100:-100], atol=2e-3)
