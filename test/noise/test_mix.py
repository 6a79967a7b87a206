"""Mixing at an SNR that is exact on the span the model hears."""

import numpy as np
import pytest
from mixtures import measured_snr

from trnet.audio.crop import cropped_length
from trnet.config import Fbank
from trnet.noise.manifest import draw_start, mixture
from trnet.noise.mix import is_silent, mix_at_snr, noise_segment
from trnet.utils.random import rng_for


def hiss(seed: int, samples: int, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, samples).astype(np.float32)


@pytest.mark.parametrize("snr_db", [20, 15, 10, 5, 0, -5])
@pytest.mark.parametrize("level", [1e-3, 0.3])
def test_the_snr_is_the_one_asked_for(snr_db, level):
    speech, noise = hiss(1, 8000, level), hiss(2, 8000)
    noisy = mix_at_snr(speech, noise, snr_db)
    added = noisy.astype(np.float64) - speech
    assert noisy.dtype == np.float32
    assert 10 * np.log10(np.sum(speech.astype(np.float64) ** 2) / np.sum(added**2)) == pytest.approx(snr_db, abs=1e-3)
    assert measured_snr(speech, noisy) == pytest.approx(snr_db, abs=1e-3)
    # what was added is the noise, only louder or softer
    assert np.corrcoef(added, noise)[0, 1] == pytest.approx(1, abs=1e-5)


def test_the_gain_by_hand():
    """Speech of energy 4, noise of energy 1 at 0 dB: the noise is doubled; at 20 dB it is a tenth of that."""
    speech, noise = np.array([2, 0, 0, 0], np.float32), np.array([0, 0, 0, 1], np.float32)
    assert mix_at_snr(speech, noise, 0).tolist() == [2, 0, 0, 2]
    assert mix_at_snr(speech, noise, 20).tolist() == pytest.approx([2, 0, 0, 0.2])


def test_nothing_is_clipped_and_the_speech_keeps_its_level():
    speech, noise = np.full(100, 0.9, np.float32), np.full(100, 0.5, np.float32)
    assert mix_at_snr(speech, noise, 0) == pytest.approx(np.full(100, 1.8), rel=1e-5)


@pytest.mark.parametrize(("speech", "noise", "named"), [(0, 0.1, "speech"), (0.1, 0, "noise"), (1e-6, 0.1, "speech")])
def test_silence_has_no_snr(speech, noise, named):
    with pytest.raises(ValueError, match=f"^{named} is silent"):
        mix_at_snr(hiss(1, 500, speech), hiss(2, 500, noise), 10)


def test_silence_is_less_than_minus_100_db():
    assert is_silent(np.full(10, 0.9e-5)) and not is_silent(np.full(10, 1.1e-5))


def test_a_segment_begins_where_it_is_told_and_a_short_clip_is_repeated():
    noise = np.arange(5)
    assert noise_segment(noise, 1, 3).tolist() == [1, 2, 3]
    assert noise_segment(noise, 3, 9).tolist() == [3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_a_mixture_of_the_manifest_is_speech_and_that_segment():
    speech, noise = hiss(1, 3000), hiss(2, 1000)
    wrapped = np.concatenate([noise[400:], noise, noise, noise[:400]])
    assert np.array_equal(mixture(speech, noise, 400, 5), mix_at_snr(speech, wrapped, 5))


@pytest.mark.parametrize(
    ("seconds", "pad", "samples"),
    [
        (1.0, "none", 16000),
        (0.0625, "none", 1000),
        (20.0, "none", 400 + 499 * 160),  # 500 frames
        (1.0, "repeat", 400 + 499 * 160),
        (1 / 3, "none", 5334),  # a last sample begun counts
    ],
)
def test_the_span_that_is_heard(seconds, pad, samples):
    assert cropped_length(seconds, Fbank(pad=pad)) == samples


def test_a_clip_longer_than_the_span_is_entered_where_the_span_fits_anywhere():
    noise = hiss(3, 1000)
    starts = [draw_start(noise, 900, rng_for("start", i)) for i in range(2000)]
    assert min(starts) == 0 and max(starts) == 100  # 101 places, 2000 draws: each end missed once in 10 ** 8
    assert abs(np.mean(starts) - 50) < 4


def test_a_clip_shorter_than_the_span_is_entered_anywhere_and_wraps():
    starts = [draw_start(hiss(3, 100), 900, rng_for("start", i)) for i in range(2000)]
    assert min(starts) == 0 and max(starts) == 99
    assert draw_start(hiss(3, 100), 100, rng_for(1)) in range(100)  # as long as the span


def test_a_start_is_a_function_of_its_key():
    noise = hiss(3, 5000)
    assert draw_start(noise, 100, rng_for(1)) == draw_start(noise, 100, rng_for(1))


@pytest.mark.parametrize("seed", range(40))
def test_a_clip_half_of_digital_silence_gives_noise(seed):
    """As many ESC-50 clips are: sound, then zeros to 5 s. No segment lies in the zeros."""
    noise = np.concatenate([hiss(seed, 20000), np.zeros(60000, np.float32)])
    segment = noise_segment(noise, draw_start(noise, 8000, rng_for(seed)), 8000)
    assert np.mean(segment**2) > 1e-3 * np.mean(noise**2)  # 30 dB below the clip's mean at most


def test_a_clip_with_one_short_sound_gives_noise_whoever_draws():
    """0.05 s of sound in 5 s, utterances of 0.6 s: one draw in seven hits it, and twenty may all fail."""
    for place in (0, 30000, 79200):
        noise = np.zeros(80000, np.float32)
        noise[place : place + 800] = hiss(1, 800)
        for seed in range(100):
            for length in (9600, 79999, 80000, 100_000):
                assert not is_silent(noise_segment(noise, draw_start(noise, length, rng_for(seed)), length)), seed
