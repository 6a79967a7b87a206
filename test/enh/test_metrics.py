"""SI-SDR, PESQ and STOI: known values, and where they are not defined."""

import math

import numpy as np
import pytest

from trnet.enh.metrics import Scores, mean_scores, pesq_wb, scores_of, si_sdr, stoi

pytest.importorskip("pesq")
pytest.importorskip("pystoi")


def speech_like(seconds: float = 1.5) -> np.ndarray:
    """Bursts of harmonics with pauses, which both measures take for speech, (samples,) float32."""
    time = np.arange(int(seconds * 16000)) / 16000
    tones = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
    return (0.1 * tones * (np.sin(2 * np.pi * 3 * time) > -0.3)).astype(np.float32)


def hiss(like: np.ndarray, level: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, like.shape).astype(np.float32)


def test_si_sdr_by_hand():
    clean = np.array([1.0, -1.0, 1.0, -1.0], dtype=np.float32)
    across = np.array([1.0, 1.0, -1.0, -1.0], dtype=np.float32)
    assert si_sdr(2 * clean + 0.2 * across, clean) == pytest.approx(20, abs=1e-5)
    assert si_sdr(-5 * clean + 0.5 * across, clean) == pytest.approx(20, abs=1e-5)
    assert si_sdr(clean + across, clean) == pytest.approx(0, abs=1e-6)


def test_si_sdr_where_it_is_not_defined():
    clean = speech_like(0.1)
    assert math.isnan(si_sdr(np.zeros_like(clean), clean)) and math.isnan(si_sdr(clean, np.zeros_like(clean)))
    assert si_sdr(clean, clean) > 200  # what is left is of the size of float64's rounding, or nothing


def test_clean_speech_scores_highest_and_noise_costs():
    clean = speech_like()
    best = scores_of(clean, clean)
    assert best.pesq == pytest.approx(4.64, abs=0.01) and best.stoi == pytest.approx(1, abs=1e-6)
    noisy, noisier = (scores_of(clean + hiss(clean, level), clean) for level in (0.01, 0.1))
    for metric in ("si_sdr", "pesq", "stoi"):
        assert getattr(best, metric) > getattr(noisy, metric) > getattr(noisier, metric)


def test_too_short_or_silent_is_not_defined():
    short = speech_like(0.1)
    assert math.isnan(pesq_wb(short, short)) and math.isnan(stoi(short, short))
    silence = np.zeros(16000, dtype=np.float32)
    assert math.isnan(pesq_wb(silence, silence))


def test_means_leave_out_what_is_not_defined():
    rows = [Scores(1.0, math.nan, 0.5), Scores(3.0, math.nan, math.nan), Scores(math.inf, math.nan, 0.7)]
    means = mean_scores(rows)
    assert means.si_sdr == 2 and math.isnan(means.pesq) and means.stoi == pytest.approx(0.6)
    assert all(math.isnan(value) for value in mean_scores([]))
