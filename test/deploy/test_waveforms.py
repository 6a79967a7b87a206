"""A packed model that mixes waveforms: its answers are those of stage 7; there is no graph of it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from model_files import CLASSES, make_model, predicted_sets
from near import ANSWER, assert_same_answer
from tiny import RATE, hiss, tone, write_wav
from upstreams import make_upstream

import trnet
from trnet.bin import export, pack
from trnet.deploy.demo import predict_file
from trnet.deploy.model_file import read_model

MIXING = {"gate": {"mix": "waveform"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny Whisper; not to be changed."""
    return make_upstream("whisper", tmp_path_factory.mktemp("whisper") / "net")


def features_in(folder: Path) -> dict:
    return {"features": {"type": "upstream", "model": str(folder), "max_seconds": 0.5}}


@pytest.fixture(scope="module")
def predictor(folder, tmp_path_factory) -> trnet.Predictor:
    """An untrained model with an untrained front-end, which carries the network."""
    path = tmp_path_factory.mktemp("model") / "m.zip"
    make_model(path, "gtcrn", embed_upstream=True, **features_in(folder), **MIXING)
    return trnet.Predictor.from_pretrained(path)


def clips(*samples: int) -> list[np.ndarray]:
    return [tone("hap", number, n) + hiss(number, n) for number, n in enumerate(samples)]


def test_clips_of_any_lengths_get_together_what_they_get_alone(predictor):
    given = clips(8000, 5000, 8000, 7001)
    together = predictor.infer(given, list("abcd"))
    frames = [predictor._upstream.num_frames(len(clip)) for clip in given]
    assert together.batch.noisy is None and together.batch.lengths.tolist() == frames
    for number, clip in enumerate(given):
        alone = predictor.infer([clip], ["one"])
        np.testing.assert_allclose(together.probs[number], alone.probs[0], atol=1e-4)
        assert float(together.output.c[number]) == pytest.approx(float(alone.output.c[0]), abs=1e-4)


def test_the_network_reads_the_mixture(predictor):
    (clip,) = clips(8000)
    found = predictor.infer([clip], ["one"])
    x, x_e, c = torch.from_numpy(clip), torch.from_numpy(found.enhanced_clips[0]), float(found.output.c[0])
    assert 0 < c < 1
    torch.testing.assert_close(
        found.output.compensated[0], predictor._upstream(c * x + (1 - c) * x_e), rtol=0, atol=1e-4
    )


def test_there_is_no_graph_of_it(predictor, folder, tmp_path, fails):
    options = ["--out", str(tmp_path / "onnx"), "--upstream", str(folder)]
    line = fails(export.main, [str(predictor.model.path), *options])
    assert "mixes waveforms" in line and "PyTorch" in line and not (tmp_path / "onnx").exists()


def test_the_page_shows_its_log_mels(predictor, tmp_path):
    _, pictures, enhanced = predict_file(predictor, Path(write_wav(tmp_path / "a.wav", clips(12000)[0])))
    assert set(pictures) == {"noisy", "enhanced"} and len(enhanced) == 12000


def by_class(row: dict[str, str]) -> dict[str, float]:
    return {cls: float(row[cls]) for cls in CLASSES}


@pytest.mark.slow
def test_a_trained_model_answers_as_stage_7_does(packed_waveforms, tmp_path, run_predict):
    """The front-end is run again, in other batches than there."""
    packed, carrying = packed_waveforms, tmp_path / "carrying.zip"
    assert pack.main([*packed.options, "--embed-upstream", "--out", str(carrying)]) == 0
    assert read_model(packed.model).settings.mixes_waveforms and not read_model(packed.model).graphs
    scp = tmp_path / "wav.scp"
    for expected in predicted_sets(packed.predictions, packed.tiny.root / "data", scp):
        status, out, _ = run_predict(carrying, scp, "--format", "csv", "--batch-size", "3")
        rows = list(csv.DictReader(out.splitlines()))
        assert status == 0 and [row["file"] for row in rows] == list(expected)
        for found in rows:
            wanted = expected[found["file"]]
            assert_same_answer(found["emotion"], by_class(found), wanted["pred"], by_class(wanted))
            assert float(found["c"]) == pytest.approx(float(wanted["c"]), abs=ANSWER)
    predictor = trnet.Predictor.from_pretrained(packed.model, upstream=packed.experiment.config.features.model)
    assert predictor(clips(9000)[0], RATE).c is not None
