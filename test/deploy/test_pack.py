"""Packing a trained run: what the file holds, that it is the same bytes again, what is refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace

import pytest
import torch

from trnet.bin import export, pack
from trnet.deploy.archive import ABOUT, FRONTEND, MODEL, WEIGHTS
from trnet.deploy.model_file import read_model, write_model
from trnet.deploy.pack import best_run
from trnet.frontend import build_frontend
from trnet.model.pooling import AttentionPooling
from trnet.runs.checkpoint import load_checkpoint, save_checkpoint
from trnet.runs.experiment import Experiment

pytestmark = pytest.mark.slow  # the module as a whole


GRAPHS = [f"onnx/{name}" for name in ("config.json", "frontend.onnx", "ser.onnx")]


def test_it_holds_the_run_and_nothing_that_runs(packed_gtcrn):
    with zipfile.ZipFile(packed_gtcrn.model) as zipped:
        assert zipped.namelist() == ["manifest.json", MODEL, ABOUT, WEIGHTS, FRONTEND, *GRAPHS]
        assert all(b"torch" not in zipped.read(name)[:4096] for name in (WEIGHTS, FRONTEND))
    model = read_model(packed_gtcrn.model)
    run = packed_gtcrn.exp / "gtcrn/trnet/fold1_seed1"
    best = load_checkpoint(run / "best.pt")
    assert model.classes == ("ang", "hap", "neu", "sad") and model.settings.name == "trnet"
    assert all(torch.equal(model.weights[key], value) for key, value in best["model"].items())
    assert model.make_network().state_dict().keys() == best["model"].keys()
    about = model.about
    assert (about["corpus"], about["fold"], about["seed"], about["test_speaker"]) == ("tiny", 1, 1, "S1F")
    assert about["valid_uar"] == load_checkpoint(run / "last.pt")["history"][best["epoch"] - 1]["valid_uar"]
    assert [(s["noise"], s["snr_db"], s["n_utts"]) for s in about["scores"]] == [
        ("clean", None, 8),
        ("esc", 0.0, 8),
        ("esc", 10.0, 8),
    ]
    assert about["trained_with"] == best["trained_with"] and "torch" in about["versions"]


def test_the_front_end_comes_back_with_its_weights_though_its_checkpoint_is_gone(packed_gtcrn):
    model = read_model(packed_gtcrn.model)
    frontend = model.make_frontend()
    assert frontend.fingerprint() == model.settings.frontend.fingerprint and frontend.checkpoint_sha256
    assert str(packed_gtcrn.exp.parent).encode() not in packed_gtcrn.model.read_bytes()  # no path of this machine


def test_the_same_run_is_the_same_file(packed, tmp_path, capfd):
    again = tmp_path / "again.zip"
    assert pack.main([*packed.options, "--out", str(again)]) == 0
    assert "packed earlier" not in capfd.readouterr().out
    (tmp_path / "trnet_fold9_seed1.zip").write_bytes(b"")
    assert pack.main([*packed.options, "--out", str(again)]) == 0
    assert "also holds what was packed earlier: trnet_fold9_seed1.zip" in capfd.readouterr().out
    assert again.read_bytes() == packed.model.read_bytes()
    write_model(replace(read_model(again), path=tmp_path / "read.zip"))
    assert (tmp_path / "read.zip").read_bytes() == again.read_bytes()


def test_the_best_run_is_that_of_the_best_validation_uar_the_first_of_equals(packed, monkeypatch):
    scores = {(1, 1): 50.0, (1, 2): 61.0, (2, 1): 70.0, (2, 2): 70.0}

    def finished(experiment, run):
        first = {"epoch": 1, "valid_uar": scores[run.fold.number, run.seed]}
        return [first, {"epoch": 2, "valid_uar": 10.0 + run.fold.number + run.seed}]

    monkeypatch.setattr(Experiment, "finished", finished)
    runs = packed.experiment.runs(["trnet"], packed.experiment.dataset.folds[:2], [1, 2])
    assert best_run(packed.experiment, runs) == runs[2]
    assert best_run(packed.experiment, runs[:2]) == runs[1]


def copied(packed, tmp_path) -> tuple[list[str], object]:
    """Options of pack over a copy of exp/ that may be changed, and the run's folder in it."""
    exp = tmp_path / "exp"
    shutil.copytree(packed.exp, exp, symlinks=True)
    options = [str(exp) if option == str(packed.exp) else option for option in packed.options]
    return [*options, "--out", str(tmp_path / "out.zip")], exp / "none/trnet/fold1_seed1"


def test_what_does_not_match_is_not_packed(packed, tmp_path, fails):
    options, run = copied(packed, tmp_path)
    assert "not trained (to the end, with this configuration)" in fails(pack.main, [*options, "--max-epochs", "4"])
    assert "fold2_seed1: not trained" in fails(pack.main, [*options, "--folds", "1 2"])
    best = load_checkpoint(run / "best.pt")
    save_checkpoint(run / "best.pt", best | {"trained_with": ["something else"]})
    assert "predictions.csv: is of another checkpoint; run stage 7 again" in fails(pack.main, options)
    save_checkpoint(run / "best.pt", best | {"epoch": 7})
    assert "best.pt: is of epoch 7" in fails(pack.main, options)
    stamp = json.loads((run / ".train.json").read_text())
    stamp["made_from"]["seed"] = 9
    (run / ".train.json").write_text(json.dumps(stamp))
    assert "not trained" in fails(pack.main, options)
    assert not (tmp_path / "out.zip").exists()


def test_features_of_another_front_end_are_not_packed(packed_gtcrn, tmp_path, fails, capfd):
    torch.manual_seed(6)
    other = build_frontend({"frontend": "gtcrn", "frontend_conf": {"init": "random"}}).network
    torch.save({"model": other.state_dict()}, tmp_path / "other.tar")
    options = [*packed_gtcrn.options, "--out", str(tmp_path / "out.zip")]
    options[options.index("--frontend-checkpoint") + 1] = str(tmp_path / "other.tar")
    line = fails(pack.main, options)
    assert "was enhanced by another front-end than this configuration's (other checkpoint_sha256" in line
    assert pack.main([*options, "--if-possible"]) == 0
    assert "not packed: " in capfd.readouterr().out and not (tmp_path / "out.zip").exists()


def test_without_the_package_onnx_a_model_is_packed_without_graphs(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("trnet.deploy.pack.find_spec", lambda name: None)
    assert pack.main([*packed.options, "--out", str(tmp_path / "m.zip")]) == 0
    assert read_model(tmp_path / "m.zip").graphs == {} != read_model(packed.model).graphs


def test_what_onnx_cannot_express_is_named_and_packed_without_graphs(packed, tmp_path, monkeypatch, fails, capfd):
    """An operator that ONNX lacks, in a part of somebody's own."""
    whole = AttentionPooling.forward
    odd = torch.special.bessel_j0
    monkeypatch.setattr(AttentionPooling, "forward", lambda *args: whole(*args) + odd(args[1]).mean())
    said = fails(export.main, [str(packed.model), "--out", str(tmp_path / "out")])
    assert "ONNX cannot express the network TRNetSystem of trnet" in said and "special_bessel_j0" in said
    assert not (tmp_path / "out").exists()
    capfd.readouterr()
    assert pack.main([*packed.options, "--out", str(tmp_path / "m.zip")]) == 0
    told = capfd.readouterr().out
    assert "m.zip: is packed without graphs: ONNX cannot express" in told and "graph(" not in told
    assert read_model(tmp_path / "m.zip").graphs == {}


def test_a_pack_overwrites_models_only(packed, tmp_path, fails):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert f"--out {path}: exists" in fails(pack.main, [*packed.options, "--out", str(path)])
    assert path.read_text() == "mine"
