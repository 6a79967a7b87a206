"""The model file: its JSON, weights and graphs go together, or it is refused in a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_files import entries_of, with_json
from near import ANSWER
from tiny import RATE

from trnet.deploy.archive import ABOUT, FRONTEND, MODEL, write_archive
from trnet.deploy.model_file import read_model, write_model
from trnet.deploy.onnx_predictor import OnnxPredictor
from trnet.deploy.predictor import Predictor
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda said: said["classes"].append("joy"), r"does not fit model\.json .*classifier"),
        (lambda said: said.update(classes=["a", "a", "b", "c"]), r"model\.json: classes: "),
        (lambda said: said.update(classes="abcd"), r"model\.json: classes: "),
        (lambda said: said.update(code="x"), "'code'"),
        (lambda said: said.pop("gate"), "gate: is missing"),
        (lambda said: said["encoder"].update(channels=[8, 16]), "does not fit model.json"),
        (lambda said: said["encoder"].update(channels=[4_000_000, 4_000_000]), "encoder.channels.0.: 4000000 must be"),
        (lambda said: said["features"].update(max_frames=10**9), "features.max_frames: 1000000000 must be"),
        (lambda said: said["encoder"].update(channels=[4096, 4096]), "does not fit model.json"),
        (lambda said: said["features"].update(max_frames=100_000), "600 s"),
        (lambda said: said["features"].update(frame_length=float("nan")), "is no JSON .'NaN' is no number"),
        (lambda said: said["encoder"].update(chanels=3), "unknown key 'encoder.chanels'"),
        (lambda said: said["features"].update(num_mel_bins="many"), "features.num_mel_bins: 'many' is not a whole"),
        (lambda said: said.update(frontend=None), r"model\.json: frontend: "),
        (lambda said: said.update(frontend={"conf": {}}), "frontend.fingerprint"),
        (lambda said: said["frontend"].update(weights=FRONTEND), "do not agree"),
        (lambda said: said["frontend"].update(weights={"a": 1}), "frontend.weights"),
    ],
)
def test_a_model_that_does_not_fit_together_is_refused(model, tmp_path, change, message):
    path = with_json(model, tmp_path / "m.zip", MODEL, change)
    with pytest.raises(TrnetError, match=message):
        read_model(path).make_network()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (MODEL, b'{"a": 1e999}', "no finite number"),
        (MODEL, b'{"a": -Infinity}', "'-Infinity' is no number"),
        (MODEL, b'{"a": ' + b"9" * 5000 + b"}", "is no whole number"),
        (MODEL, b'{"a": 99999999999999999999}', "is no JSON"),
        (MODEL, b"[" * 100_000, "is no JSON"),
        (MODEL, b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (MODEL, b'{"' + b"x" * 1_000_000 + b'": 1}', "is missing"),
        (ABOUT, b"[]", "is no JSON mapping"),
        (ABOUT, b"\xff", "is no JSON"),
    ],
)
def test_json_that_is_out_of_bounds_is_one_short_line(model, tmp_path, name, content, message):
    write_archive(tmp_path / "m.zip", entries_of(model) | {name: content})
    with pytest.raises(TrnetError, match=rf"m\.zip: {name}: .*{message}") as caught:
        read_model(tmp_path / "m.zip")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("features", {"frame_length": 1e308}),
        ("features", {"frame_length": 1e-9}),
        ("features", {"sample_rate": 10**18}),
        ("features", {"num_mel_bins": 10**9}),
        ("encoder", {"channels": [10**12]}),
        ("encoder", {"channels": [10**18, 10**18]}),
        ("encoder", {"channels": [8] * 300_000}),
        ("encoder", {"kernel": 10**9 + 1}),
        ("pooling", {"attention": 10**18}),
        ("classifier", {"hidden": 10**18}),
        ("encoder", {"type": "x" * 1_000_000}),
        ("encoder", {"x" * 1_000_000: 1}),
    ],
)
def test_sizes_out_of_bounds_are_one_short_line_and_nothing_is_allocated(model, tmp_path, section, changes):
    path = with_json(model, tmp_path / "m.zip", MODEL, lambda said: said[section].update(changes))
    with pytest.raises(TrnetError, match=r"m\.zip: .*model\.json") as caught:
        read_model(path).make_network()
    assert len(str(caught.value)) < 2000


def test_weights_that_are_not_finite_are_refused(model, tmp_path):
    model = read_model(model)
    weights = model.weights | {"gate.fc.bias": torch.tensor([np.nan])}
    write_model(replace(model, path=tmp_path / "m.zip", weights=weights, graphs={}))
    with pytest.raises(TrnetError, match=r"not finite gate\.fc\.bias"):
        read_model(tmp_path / "m.zip").make_network()


def test_graphs_of_other_networks_are_refused(model, model_gtcrn, tmp_path):
    model, other = read_model(model_gtcrn), read_model(model)
    write_model(replace(model, path=tmp_path / "m.zip", graphs=other.graphs))
    with pytest.raises(TrnetError, match=r"m\.zip: onnx/"):
        read_model(tmp_path / "m.zip")
    incomplete = {name: body for name, body in model.graphs.items() if name != "config.json"}
    write_model(replace(model, path=tmp_path / "m.zip", graphs=incomplete))
    with pytest.raises(TrnetError, match=r"m\.zip: onnx/"):
        read_model(tmp_path / "m.zip")


def test_an_older_file_is_read_and_predicts_the_same():
    """Packed by commit 7219b16, before parts had types, of an untrained network on 24 mels; graphs are in it."""
    path = Path(__file__).parents[1] / "data/older_model.zip"
    time = np.arange(9000) / RATE
    wav = (0.2 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)
    for predictor in (Predictor.from_pretrained(path), OnnxPredictor(path)):
        prediction = predictor(wav, RATE)
        expected = {"ang": 0.018242, "hap": 0.343788, "neu": 0.596209, "sad": 0.041761}
        assert prediction.probabilities == pytest.approx(expected, abs=ANSWER) and prediction.emotion == "neu"
        assert prediction.c == pytest.approx(1.0)
