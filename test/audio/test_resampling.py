"""Any rate to any other: tones stay tones, nothing aliases, and blocks give what the whole signal gives."""

import math

import numpy as np
import pytest

from trnet.audio.resampling import Resampler, resample


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 24414, 44100, 44101, 48000, 1_000_000])
@pytest.mark.parametrize("samples", [1, 2, 50, 20_003])
def test_blocks_give_what_the_whole_gives_to_the_bit(rate, samples):
    wav = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    whole = resample(wav, rate, 16000)
    assert whole.dtype == np.float32 and whole.shape == (math.ceil(samples * 16000 / rate),)
    for size in (7, 4096, samples):
        stream = Resampler(rate, 16000)
        parts = [stream(wav[start : start + size]) for start in range(0, samples, size)]
        np.testing.assert_array_equal(np.concatenate([*parts, stream.finish()]), whole)


@pytest.mark.parametrize("rate", [24414, 44100, 44101])
@pytest.mark.parametrize("hertz", [100, 1000, 7000])
def test_a_tone_stays_a_tone_in_its_place(rate, hertz):
    tone = np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    found = resample(tone.astype(np.float32), rate, 16000)
    expected = np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
    np.testing.assert_allclose(found[100:-100], expected[100:-100], atol=1e-3)  # soxr is flat to 0.01 dB there


def test_what_the_lower_rate_cannot_hold_is_gone():
    tone = np.sin(2 * np.pi * 9000 * np.arange(48000) / 48000).astype(np.float32)
    assert np.abs(resample(tone, 48000, 16000)[100:-100]).max() < 1e-4


def test_nothing_is_done_at_the_same_rate():
    wav = np.ones(5, np.float32)
    assert resample(wav, 16000, 16000) is wav
