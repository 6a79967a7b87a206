"""Graphs of front-ends enhance what PyTorch does, at any length."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_files import open_graph
from near import WAVE
from tiny import hiss

from trnet.deploy.model_file import read_model
from trnet.deploy.onnx_export import frontend_graph
from trnet.deploy.onnx_frontends import graph_of
from trnet.frontend import build_frontend

pytest.importorskip("onnx", reason="needs the package onnx: pip install 'trnet[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'trnet[export]'")

pytestmark = pytest.mark.slow  # the module as a whole


FRONT_ENDS = {
    "cmgan": {"num_channel": 4, "fast": False},
    "dccrn": {"architecture": "DCCRN-CL-div4"},
    "dccrn, padded": {"architecture": "mini", "mask_bound": "sigmoid", "pad_ends": True, "level_dbfs": -26.0},
    "dpt_fsnet": {"channels": 8, "blocks": 1},
    "gtcrn": {"level_dbfs": -26.0},
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_ends_enhance_the_same_at_any_length(name):
    torch.manual_seed(3)
    config = {"frontend": name.split(",")[0], "frontend_conf": {"init": "random", **FRONT_ENDS[name]}}
    frontend = build_frontend(config)
    for block in ("TSCB_2", "TSCB_3", "TSCB_4") if name == "cmgan" else ():
        setattr(frontend.network, block, torch.nn.Identity())  # they are as the first, and each takes long to trace
    loaded = open_graph(frontend_graph(frontend, 24_000))
    for batch, samples in ((1, 400), (2, 1000), (3, 8001), (1, 20_000)):
        wav = np.stack([hiss(row, samples) for row in range(batch)]).astype(np.float32)
        enhanced = loaded.run(None, {"wav": wav})[0]
        assert np.abs(enhanced - frontend.enhance(torch.from_numpy(wav)).numpy()).max() < WAVE
        assert np.abs(enhanced - wav).max() > 1e-3


@pytest.mark.parametrize("conf", [{"window_s": 4.0}, {"precision": "bf16"}])
def test_cmgan_has_no_graph_of_what_it_does_not_do_in_one_pass(conf):
    config = {"init": "random", "num_channel": 4, **conf}
    frontend = build_frontend({"frontend": "cmgan", "frontend_conf": config})
    assert graph_of(frontend, 64_001) is None
    assert (graph_of(frontend, 64_000) is None) == ("precision" in conf)


@pytest.mark.parametrize("samples", [1, 2, 255, 256])
def test_gtcrn_enhances_clips_of_some_samples(model_gtcrn, exported, samples):
    frontend, wav = read_model(model_gtcrn).make_frontend(), hiss(3, samples).astype(np.float32)[None]
    enhanced = open_graph(exported / "frontend.onnx").run(None, {"wav": wav})[0]
    assert np.abs(enhanced - frontend.enhance(torch.from_numpy(wav)).numpy()).max() < WAVE
