"""Model files of networks whose parts trnet has never seen: they ask for trust, predict, have graphs where possible."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from model_files import CLASSES, make_model, with_json
from near import ANSWER
from tiny import RATE, hiss, tone, write_wav

from trnet.bin import export, predict, push
from trnet.deploy.archive import MODEL, read_entries
from trnet.deploy.model_file import read_model
from trnet.deploy.onnx_export import NoGraph, graphs_of
from trnet.deploy.onnx_predictor import OnnxPredictor
from trnet.deploy.predictor import Predictor
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole

SOURCE = '''
import torch
from torch import nn
from trnet.model.batch import Output


class Encoder(nn.Module):
    """Halves time."""

    def __init__(self, dim, width: int = 6):
        super().__init__()
        self.out_dim, self.linear = width, nn.Linear(2 * dim, width)

    def lengths(self, counts):
        return (counts + 1) // 2

    def forward(self, x, frames):
        x = nn.functional.pad(x, (0, 0, 0, 1))
        even = x[:, : x.shape[1] // 2 * 2]
        return self.linear(torch.cat([even[:, ::2], even[:, 1::2]], dim=2)).relu()


class NoOnnx(Encoder):
    def forward(self, x, frames):
        return super().forward(torch.special.bessel_j0(x), frames)


class Pooling(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.out_dim = dim

    def forward(self, x, frames):
        weight = frames.mask[..., None].to(x.dtype)
        return (x * weight).sum(1) / weight.sum(1)


class Features:
    """Frames of 10 ms: their RMS and peak."""

    def __init__(self, sample_rate: int = 16000, **options):
        self.sample_rate, self.dim, self.options = sample_rate, 2, options

    def num_frames(self, samples):
        return samples // 160

    def __call__(self, wav):
        frames = wav[: len(wav) // 160 * 160].reshape(-1, 160)
        return torch.stack([frames.square().mean(1).sqrt(), frames.abs().amax(1)], dim=1)

    def fingerprint(self):
        return {"version": VERSION}


VERSION = 1


class System(nn.Module):
    """The means of noisy features over time."""

    inputs = ("noisy",)

    def __init__(self, config, num_classes):
        super().__init__()
        self.linear = nn.Linear(config.features.num_mel_bins, num_classes)

    def forward(self, batch):
        h = (batch.noisy * batch.frames.mask[..., None]).sum(1) / batch.frames.lengths[:, None]
        return Output(self.linear(h), h)


class Broken(System):
    def forward(self, batch):
        raise ZeroDivisionError("in forward\\nmore")


class Loss:
    needs = ()

    def __call__(self, output, batch):
        return output.logits.sum()
'''
PARTS = {
    "encoder": {"encoder": {"type": "foreign_parts:Encoder", "width": 5}},
    "pooling": {"pooling": {"type": "foreign_parts:Pooling"}},
    "system": {"system": {"model": "foreign_parts:System"}},
    "features": {"features": {"type": "foreign_parts:Features"}},
}
HAVE_GRAPHS = ("encoder", "pooling", "system")


@pytest.fixture(autouse=True)
def foreign_parts(tmp_path, monkeypatch):
    """The module `foreign_parts`."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/foreign_parts.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    yield
    sys.modules.pop("foreign_parts", None)


def forget() -> None:
    """Whoever needs the module has to import it."""
    sys.modules.pop("foreign_parts", None)


@pytest.mark.parametrize("part", PARTS)
def test_it_predicts_where_it_is_trusted_and_its_code_does_not_run_before(part, tmp_path, fails, capfd):
    path = tmp_path / "m.zip"
    model = make_model(path, **PARTS[part])
    assert json.loads(read_entries(path)[MODEL])["encoder"]["type"] == model.settings.encoder.type
    file = write_wav(tmp_path / "a.wav", np.concatenate([tone("sad", 1, 90_000), hiss(2, 9000)]))
    forget()
    for main, arguments in (
        (predict.main, [str(path), file]),
        (push.main, [str(path), str(tmp_path / "folder")]),
        (export.main, [str(path), "--out", str(tmp_path / "out")]),
    ):
        line = fails(main, arguments)
        assert "foreign_parts:" in line and "--trust" in line
    assert "foreign_parts" not in sys.modules
    assert predict.main([str(path), file, "--trust", "--format", "jsonl", "--windows"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-4) and len(found["windows"]) == 2
    predictor = Predictor.from_pretrained(path, trust=True)
    short, long = tone("ang", 1, 5000), tone("hap", 2, 9000)
    alone = predictor.score_windows([short], ["a"])[0].probs
    assert predictor.score_windows([short, long], ["a", "b"])[0].probs == pytest.approx(alone, abs=ANSWER)


@pytest.mark.parametrize("part", HAVE_GRAPHS)
def test_its_graphs_need_neither_trust_nor_its_code(part, tmp_path):
    path = tmp_path / "m.zip"
    make_model(path, graphs=True, **PARTS[part])
    by_torch = Predictor.from_pretrained(path, trust=True)
    forget()
    by_onnx = OnnxPredictor(path)
    assert "foreign_parts" not in sys.modules
    for samples in (400, 5000, 80_240):
        wav = tone("neu", 3, samples)
        expected = by_torch(wav, RATE)
        found = by_onnx(wav, RATE)
        assert found.probabilities == pytest.approx(expected.probabilities, abs=ANSWER)
        assert found.c == (None if expected.c is None else pytest.approx(expected.c, abs=ANSWER))


def test_where_onnx_cannot_express_it_one_line_says_so(tmp_path, fails):
    model = make_model(tmp_path / "m.zip", encoder={"type": "foreign_parts:NoOnnx"})
    line = fails(export.main, [str(model.path), "--out", str(tmp_path / "out"), "--trust"])
    assert "ONNX" in line and "bessel" in line and not (tmp_path / "out").exists()
    features = make_model(tmp_path / "f.zip", **PARTS["features"])
    with pytest.raises(NoGraph, match="foreign_parts:Features"):
        graphs_of(features, trust=True)


def test_what_its_code_raises_is_one_line_that_names_it(tmp_path, run_predict):
    path = make_model(tmp_path / "m.zip", system={"model": "foreign_parts:Broken"}).path
    file = write_wav(tmp_path / "a.wav", tone("sad", 1, 9000))
    status, out, err = run_predict(path, file, "--trust", "--format", "csv")
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (
        status == 1
        and len(out.splitlines()) == 1
        and "foreign_parts:Broken" in line
        and "ZeroDivisionError: in forward" in line
        and "more" not in line
    )


def test_features_of_another_version_are_refused(tmp_path, monkeypatch):
    path = make_model(tmp_path / "m.zip", **PARTS["features"]).path
    monkeypatch.setattr("foreign_parts.VERSION", 2)
    with pytest.raises(TrnetError, match="foreign_parts:Features"):
        Predictor.from_pretrained(path, trust=True)


def test_a_loss_is_not_needed_for_prediction(tmp_path):
    losses = [{"type": "cross_entropy"}, {"type": "foreign_parts:Loss"}]
    path = make_model(tmp_path / "m.zip", system={"input": "noisy", "losses": losses}).path
    forget()
    assert set(Predictor.from_pretrained(path)(tone("sad", 1, 9000), RATE).probabilities) == set(CLASSES)
    assert "foreign_parts" not in sys.modules


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.update(encoder="foreign_parts:Encoder"),
        lambda model: model["gate"].update(features={"type": "foreign_parts:Features"}),
        lambda model: model["system"].update(losses=[{"type": "foreign_parts:Loss"}]),
        lambda model: model["system"].update(model="foreign_parts:System"),
    ],
)
def test_no_place_of_a_file_runs_code_without_trust(model, tmp_path, change):
    path = with_json(model, tmp_path / "m.zip", MODEL, change)
    with pytest.raises(TrnetError, match="foreign_parts:.*--trust"):
        read_model(path)
    assert "foreign_parts" not in sys.modules


def test_a_part_whose_module_is_not_there_is_one_line(tmp_path, monkeypatch):
    path = make_model(tmp_path / "m.zip", **PARTS["encoder"]).path
    forget()
    (tmp_path / "modules/foreign_parts.py").unlink()
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(TrnetError, match="foreign_parts"):
        read_model(path, trust=True)


def test_weights_of_other_sizes_are_refused(tmp_path):
    path = make_model(tmp_path / "m.zip", **PARTS["encoder"]).path
    other = with_json(path, tmp_path / "o.zip", MODEL, lambda model: model["encoder"].update(width=7))
    with pytest.raises(TrnetError, match=r"o\.zip: .*ser\.encoder\.linear\.weight"):
        read_model(other, trust=True).make_network()
    assert torch.is_tensor(read_model(path, trust=True).make_network().ser.encoder.linear.weight)
