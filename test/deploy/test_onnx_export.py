"""Graphs compute what PyTorch does, at any length, of any parts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from model_files import make_model, open_graph
from near import assert_near

from trnet.bin import export
from trnet.deploy.model_file import read_model
from trnet.deploy.onnx_export import graphs_of
from trnet.model.batch import Batch

pytest.importorskip("onnx", reason="needs the package onnx: pip install 'trnet[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'trnet[export]'")

pytestmark = pytest.mark.slow  # the module as a whole


def batch_of(frames: int, features: dict[str, torch.Tensor]) -> Batch:
    size = len(next(iter(features.values())))
    return Batch((), torch.full((size,), frames), torch.zeros(size, dtype=torch.long), **features)


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 2), (1, 37), (3, 61), (2, 500)])
def test_the_recogniser_computes_the_same_at_any_length(model_gtcrn, exported, batch, frames):
    noisy = 10 + 3 * torch.randn(batch, frames, 24)
    features = {"noisy": noisy, "enhanced": noisy - torch.rand_like(noisy)}
    expected = read_model(model_gtcrn).make_network()(batch_of(frames, features))
    logits, c = open_graph(exported / "ser.onnx").run(None, {kind: x.numpy() for kind, x in features.items()})
    assert_near(logits, expected.logits)
    assert_near(c, expected.c, of=1.0)
    assert float(np.ptp(logits)) > 1e-2


OTHERS = {
    "baseline": {"system": {"input": "noisy"}},
    "baseline_e": {"system": {"input": "enhanced"}},
    "release": {
        "system": {"input": "both", "bridge": False},
        "encoder": {"type": "plain", "channels": [4, 8], "kernel": 3, "deltas": True, "input_norm": True},
        "pooling": {"attention": 0, "values": 6, "clamp": 3.0},
    },
    "light": {"encoder": {"type": "light", "channels": 8}, "pooling": {"type": "statistics"}},
    "ecapa_tdnn": {
        "encoder": {"type": "ecapa_tdnn", "channels": 16, "out_channels": 12, "attention": 4},
        "pooling": {"type": "statistics", "attention": 4},
    },
    "by band": {"gate": {"resolution": "band"}},
}


@pytest.mark.parametrize("name", OTHERS)
def test_so_do_other_systems_and_parts(name, tmp_path):
    model = make_model(tmp_path / "m.zip", features={"num_mel_bins": 20}, **OTHERS[name])
    graphs = graphs_of(model)
    assert list(graphs) == ["ser.onnx", "config.json"]
    network, loaded = model.make_network(), open_graph(graphs["ser.onnx"])
    assert [given.name for given in loaded.get_inputs()] == list(network.inputs)
    for frames in (1, 2, 3, 7, 16, 61, 200):
        features = {kind: 5 + torch.randn(1, frames, 20) for kind in network.inputs}
        expected = network(batch_of(frames, features))
        found = loaded.run(["logits"], {kind: x.numpy() for kind, x in features.items()})
        assert_near(found[0], expected.logits)


def test_another_front_end_is_not_exported_which_is_reported(model, tmp_path, fails, capfd, monkeypatch, script):
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
