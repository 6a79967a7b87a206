"""Graphs compute what PyTorch does, at any length, of any parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_files import make_model
from near import assert_near

from trnet.bin import export
from trnet.deploy.model_file import read_model
from trnet.deploy.onnx_export import graphs_of

pytest.importorskip("onnx", reason="needs the package onnx: pip install 'trnet[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'trnet[export]'")

pytestmark = pytest.mark.slow  # the module as a whole


def session(graph: Path | bytes):
    graph = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 2), (1, 37), (3, 61), (2, 500)])
def test_the_recogniser_says_the_same_at_any_length(model_gtcrn, exported, batch, frames):
    network = read_model(model_gtcrn).make_network()
    noisy = 10 + 3 * torch.randn(batch, frames, 24)
    enhanced = noisy - torch.rand_like(noisy)
    expected = network(noisy, enhanced, torch.full((batch,), frames))
    logits, c = session(exported / "ser.onnx").run(None, {"noisy": noisy.numpy(), "enhanced": enhanced.numpy()})
    assert_near(logits, expected.logits)
    assert_near(c, expected.c, of=1.0)
    assert float(np.ptp(logits)) > 1e-2


OTHERS = {
    "baseline": (System(input="noisy"), Config(encoder=Encoder(channels=[8, 8]))),
    "release": (
        System(input="both", bridge=False),
        Config(
            encoder=Encoder(type="plain", channels=[4, 8], kernel=3, deltas=True, input_norm=True),
            pooling=Pooling(attention=0, values=6, clamp=3.0),
        ),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_so_do_other_systems_and_sizes(name, tmp_path):
    system, config = OTHERS[name]
    config = replace(config, features=Features(num_mel_bins=20))
    weights = make_model(config, system, 3).state_dict()
    model = ModelFile(tmp_path / "m.zip", name, system, config, ("a", "b", "c"), weights, None, None, {})
    graphs = graphs_of(model)
    assert list(graphs) == ["ser.onnx", "config.json"]
    network, loaded = model.make_network(), session(graphs["ser.onnx"])
    for frames in (1, 2, 3, 7, 16, 61, 200):
        inputs = [5 + torch.randn(1, frames, 20) for _ in loaded.get_inputs()]
        expected = network(*inputs, torch.tensor([frames]))
        named = {given.name: x.numpy() for given, x in zip(loaded.get_inputs(), inputs, strict=True)}
        assert_near(loaded.run(["logits"], named)[0], expected.logits)


def test_another_front_end_is_not_exported_and_said(model, tmp_path, fails, capfd, monkeypatch, script):
    assert export.main([str(model), "--out", str(tmp_path)]) == 0
    assert "has no graph" not in capfd.readouterr().out and script.Model.of(tmp_path).network is None
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"frontend": "nsnet2"}))
    assert script.main([str(tmp_path), "a.wav"]) == 1
    assert "without the front-end nsnet2; only trnet-predict with the packed model" in capfd.readouterr().err
    monkeypatch.setattr("trnet.deploy.onnx_export.find_spec", lambda name: None)
    assert "the package onnx is not installed" in fails(export.main, [str(model), "--out", str(tmp_path)])


@pytest.mark.parametrize("name", ["config.json", "ser.onnx"])
def test_an_export_overwrites_exports_only(model, tmp_path, fails, name):
    (tmp_path / name).write_text('{"mine": 1}')
    assert f"holds a {name} that no export wrote" in fails(export.main, [str(model), "--out", str(tmp_path)])
    assert (tmp_path / name).read_text() == '{"mine": 1}' and len(list(tmp_path.iterdir())) == 1
    out = ["--out", str(tmp_path / "out")]
    assert export.main([str(model), *out]) == export.main([str(model), *out]) == 0
