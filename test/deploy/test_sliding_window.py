"""Predictions of recordings: means over windows, silence, arrays, memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
from model_files import CLASSES
from near import ANSWER
from tiny import RATE, hiss, tone

from trnet.deploy.recording import from_file
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


def test_a_long_file_is_the_mean_of_its_windows_and_the_first_is_what_stage_7_hears(predictor, tmp_path):
    wav = np.concatenate([tone(cls, 3, 50_000) for cls in ("ang", "sad", "hap", "neu")])  # 12.5 s
    answer = predictor(wav, RATE)
    assert predictor.longest == pytest.approx(5.015)
    assert [(w.start, w.end) for w in answer.windows] == [(0, 5.015), (5.015, 10.03), (pytest.approx(7.485), 12.5)]
    first = predictor(wav[: predictor.features.span], RATE)
    assert first.windows[0].probabilities == pytest.approx(answer.windows[0].probabilities, abs=ANSWER)
    for cls in CLASSES:
        assert answer.probabilities[cls] == pytest.approx(np.mean([w.probabilities[cls] for w in answer.windows]))
    assert answer.c == pytest.approx(np.mean([w.c for w in answer.windows]))
    assert answer.emotion == max(CLASSES, key=answer.probabilities.get) and answer.seconds == 12.5
    spans = [(round(w.start, 3), round(w.end, 3)) for w in predictor(wav, RATE, window=4, hop=3).windows]
    assert spans == [(0, 4), (3, 7), (6, 10), (8.5, 12.5)]
    odd = ({"window": np.nan}, {"hop": np.inf}, {"window": 1e308}, {"hop": 1e308}, {"window": -1})
    for options in ({"window": 6}, {"window": 0.01}, {"hop": 0}, {"hop": 0.009}, *odd):
        with pytest.raises(TrnetError, match="--window|--hop"):
            predictor(wav, RATE, **options)


def test_arrays_of_other_types_and_axes_are_the_same_audio(predictor):
    wav = tone("hap", 1, 9000)
    expected = predictor(wav, RATE).probabilities
    stereo = np.stack([wav * 1.5, wav * 0.5], axis=1)
    sixteen = np.round(wav * 32768).astype(np.int16)
    for other in (stereo, stereo.T, torch.from_numpy(wav), wav.astype(np.float64)):
        assert predictor(other, RATE).probabilities == pytest.approx(expected, abs=ANSWER)
    # half a step of 16 bits is 1e-3 of the noise in the tone: some steps of the archives' in a log-mel
    assert predictor(sixteen, RATE).probabilities == pytest.approx(expected, abs=5 * ANSWER)
    for bad in (np.zeros((2, 2, 2)), wav.astype(np.uint8), np.array(["a"])):
        with pytest.raises(TrnetError, match="wav: is no audio"):
            predictor(bad, RATE)
    for bad in ("16000", None, 16000.5, float("nan"), float("inf")):
        with pytest.raises(TrnetError, match="wav: is no audio"):
            predictor(wav, bad)
    for bad in (0, -8000, 999, 1_000_001, 2**31 - 1):
        with pytest.raises(TrnetError, match=f"wav: states {bad} Hz"):
            predictor(wav, bad)
    assert predictor(wav, np.float64(RATE)).probabilities == expected
    for bad, message in (
        (np.zeros(9000), "is silent from beginning to end"),
        (np.zeros(0), "holds no samples"),
        (wav[:300], "lasts 19 ms, shorter than a frame"),
        (np.full(9000, np.nan), r"holds NaN or infinite samples \(from 0.000 s on\)"),
    ):
        with pytest.raises(TrnetError, match=message):
            predictor(bad, RATE)


def test_windows_that_do_not_fit_the_device_together_are_scored_alone(predictor, monkeypatch):
    wav = np.concatenate([tone(cls, 3, 50_000) for cls in ("ang", "sad", "hap", "neu")])
    wanted, score, sizes = predictor(wav, RATE), predictor.score_windows, []

    def small(windows, names):
        sizes.append(len(windows))
        if len(windows) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return score(windows, names)

    monkeypatch.setattr(predictor, "score_windows", small)
    assert predictor(wav, RATE).probabilities == pytest.approx(wanted.probabilities, abs=ANSWER)
    assert sizes == [3, 1, 1, 1]

    def full(windows, names):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(predictor, "score_windows", full)
    with pytest.raises(TrnetError, match=r"CUDA out of memory\. .*--batch-size"):
        predictor(wav, RATE)


def test_silence_has_no_say(predictor):
    speech = tone("ang", 1, predictor.features.span)
    answer = predictor(np.concatenate([speech, np.zeros(2 * predictor.features.span, np.float32)]), RATE)
    assert [window.emotion is None for window in answer.windows] == [False, True, True]
    assert answer.probabilities == pytest.approx(predictor(speech, RATE).probabilities, abs=ANSWER)


def test_long_silence_with_a_word_in_it_takes_little_memory(predictor, tmp_path):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as sound:
        silence = np.zeros(8000 * 60, np.int16)
        for minute in range(12):
            sound.write(silence if minute != 7 else (hiss(1, len(silence)) * 8000).astype(np.int16))
    tracemalloc.start()
    (answer,) = predictor.predict([from_file(path)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.seconds == pytest.approx(720) and len(answer.windows) == 144
    assert 12 <= sum(window.emotion is not None for window in answer.windows) <= 14
    assert peak < 15e6, peak  # at 16 kHz the whole is 46 MB


def test_arrays_that_cancel_are_refused_and_a_channel_taken(predictor):
    wav = tone("hap", 1, 9000)
    both = np.stack([wav, -wav])
    with pytest.raises(TrnetError, match="wav: its 2 channels cancel"):
        predictor(both, RATE)
    assert predictor(both, RATE, channel=0).probabilities == predictor(wav, RATE).probabilities
    with pytest.raises(TrnetError, match="wav: has no channel 2"):
        predictor(both, RATE, channel=2)
