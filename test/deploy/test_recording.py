"""Recordings in windows: whatever they are read in, and at any rate."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from near import assert_near
from tiny import RATE

from trnet.audio.reading import read_audio
from trnet.deploy.recording import from_file, resampled, split


@pytest.mark.parametrize("total", [1, 999, 1000, 1001, 1300, 2500, 3000])
@pytest.mark.parametrize(("length", "hop"), [(1000, 1000), (1000, 300), (500, 1200)])
def test_windows_cover_a_recording_whatever_it_is_read_in(total, length, hop):
    samples = np.arange(total, dtype=np.float32)
    for size in (1, 77, 5000):
        if total > 1500 and size == 1:
            continue
        chunks = [samples[i : i + size] for i in range(0, total, size)]
        pieces = list(split(chunks, length, hop))
        assert all((piece.samples == samples[piece.start :][: len(piece.samples)]).all() for piece in pieces)
        starts = [piece.start for piece in pieces]
        assert starts == sorted(set(starts)) and starts[0] == 0
        assert all(len(piece.samples) == min(length, total) for piece in pieces)
        covered = set().union(*(range(p.start, p.start + len(p.samples)) for p in pieces))
        if hop <= length:
            assert len(covered) == total and all(b - a <= hop for a, b in zip(starts, starts[1:], strict=False))


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [(96000, 3.7), (44100, 2.9), (22050, 1.0), (8000, 4.2), (11025, 0.03), (48000, 0.02), (24414, 2.3), (44101, 3.1)],
)
def test_reading_in_pieces_is_reading_at_once(rate, seconds, tmp_path):
    wav = np.random.default_rng(1).uniform(-0.5, 0.5, (round(rate * seconds), 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav, rate, subtype="FLOAT")
    whole = read_audio(tmp_path / "a.wav", RATE)
    mono = wav.mean(axis=1)
    for size in (1 + len(mono) // 7, 100_000):
        blocks = [mono[i : i + size] for i in range(0, len(mono), size)]
        pieces = list(resampled(blocks, rate, RATE))
        assert_near(np.concatenate(pieces), whole)
    found_rate, found_seconds, blocks = from_file(tmp_path / "a.wav").open()
    assert found_rate == rate and found_seconds == pytest.approx(seconds, abs=1e-4)
    np.testing.assert_array_equal(np.concatenate(list(blocks)), mono)
