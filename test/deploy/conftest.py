"""Untrained model files, and trained and packed runs of the tiny corpus, without a front-end and with GTCRN."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from model_files import SCRIPT, make_model
from tiny import CONFIG, SETS, Tiny
from upstreams import make_upstream

import trnet
from trnet.bin import enhance, export, make_fbank, pack, predict, train
from trnet.conditions import noisy_conditions
from trnet.eval.run_predictions import predict_run
from trnet.frontend import build_frontend
from trnet.runs.experiment import Experiment
from trnet.train.session import Session


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """An untrained trnet with the front-end none, and graphs; not to be changed."""
    path = tmp_path_factory.mktemp("model") / "trnet.zip"
    make_model(path, graphs=True)
    return path


@pytest.fixture(scope="session")
def model_gtcrn(tmp_path_factory) -> Path:
    """An untrained trnet with an untrained GTCRN, and graphs; not to be changed."""
    path = tmp_path_factory.mktemp("model_gtcrn") / "trnet.zip"
    make_model(path, "gtcrn", graphs=True)
    return path


@pytest.fixture(scope="session")
def predictor(model) -> trnet.Predictor:
    """The predictor of `model`."""
    return trnet.Predictor.from_pretrained(model)


@pytest.fixture(scope="session")
def exported(model_gtcrn, tmp_path_factory) -> Path:
    """The folder of an exported `model_gtcrn`; not to be changed."""
    out = tmp_path_factory.mktemp("exported")
    assert export.main([str(model_gtcrn), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "frontend.onnx", "ser.onnx"]
    return out


@pytest.fixture(scope="session")
def script():
    """utils/onnx_predict.py as a module."""
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'trnet[export]'")
    spec = importlib.util.spec_from_file_location("onnx_predict", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run_predict(capfd) -> Callable[..., tuple[int, str, str]]:
    """run_predict(*arguments): status, stdout and stderr of trnet-predict."""

    def run(*args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = predict.main([str(arg) for arg in args])
        return status, *capfd.readouterr()

    return run


@dataclass(frozen=True)
class Packed:
    """A packed run of fold 1, what it was made by, and its predictions in stage 7."""

    tiny: Tiny
    options: list[str]  # for pack
    exp: Path
    experiment: Experiment
    model: Path

    @property
    def predictions(self) -> Path:
        return self.exp / self.experiment.config.frontend_name / "trnet/fold1_seed1/predictions.csv"


def make_packed(tiny: Tiny, dump: Path, setup: list[str], experiment: Experiment) -> Packed:
    """Stages 5 and 6 of fold 1, three epochs; of stage 7 the predictions and the model file."""
    runs = [*tiny.folders(dump), *setup, "--exp", str(experiment.exp), "--folds", "1", "--max-epochs", "3"]
    systems = ["--systems", "baseline_c trnet"]
    assert train.main([*runs, *systems, "--part", "teacher"]) == train.main([*runs, *systems]) == 0
    run = experiment.run("trnet", experiment.dataset.folds[0], 1)
    predict_run(Session(experiment, torch.device("cpu")), run, noisy_conditions(["esc"], [10.0, 0.0]))
    assert pack.main(runs) == 0
    path = experiment.exp / experiment.config.frontend_name / "trnet_fold1_seed1.zip"
    return Packed(tiny, runs, experiment.exp, experiment, path)


@pytest.fixture(scope="session")
def packed(tiny, tmp_path_factory) -> Packed:
    """With the front-end none; not to be changed."""
    return make_packed(tiny, tiny.dump, [], tiny.experiment(tmp_path_factory.mktemp("packed") / "exp", max_epochs=3))


@pytest.fixture(scope="session")
def packed_upstream(tiny, tmp_path_factory) -> Packed:
    """On hidden states of a tiny Whisper in a folder, with the front-end none; not to be changed."""
    root = tmp_path_factory.mktemp("packed_upstream")
    (root / "data").symlink_to(tiny.root / "data")
    mine, folder = Tiny(root), make_upstream("whisper", root / "net")
    features = {"type": "upstream", "model": str(folder), "layer": 2}
    mine.config_path.write_text(yaml.safe_dump(CONFIG | {"features": features}), encoding="utf-8")
    config = ["--config", str(mine.config_path)]
    sets = ["--sets", " ".join(str(mine.root / "data" / name) for name in SETS), "--dump", str(mine.dump)]
    assert enhance.main([*config, *sets]) == make_fbank.main([*config, *sets]) == 0
    return make_packed(mine, mine.dump, [], mine.experiment(root / "exp", max_epochs=3))


@pytest.fixture(scope="session")
def packed_waveforms(mixed, tmp_path_factory) -> Packed:
    """One whose gate mixes waveforms, with an untrained GTCRN; not to be changed."""
    exp = tmp_path_factory.mktemp("packed_waveforms") / "exp"
    return make_packed(mixed, mixed.dump, [], mixed.experiment(exp, max_epochs=3))


@pytest.fixture(scope="session")
def packed_gtcrn(tiny, tmp_path_factory) -> Packed:
    """With an untrained GTCRN behind a checkpoint file, which is deleted after packing; not to be changed."""
    root = tmp_path_factory.mktemp("packed_gtcrn")
    torch.manual_seed(5)
    weights = root / "gtcrn.tar"
    network = build_frontend({"frontend": "gtcrn", "frontend_conf": {"init": "random"}}).network
    torch.save({"model": network.state_dict()}, weights)
    setup = ["--frontend", "gtcrn", "--frontend-checkpoint", str(weights)]
    sets = ["--sets", " ".join(str(tiny.root / "data" / name) for name in SETS), "--dump", str(root / "dump")]
    config = ["--config", str(tiny.config_path), *setup]
    assert enhance.main([*config, *sets]) == make_fbank.main([*config, *sets]) == 0
    training = tiny.config.training.replace(max_epochs=3)
    conf = tiny.config.replace(frontend="gtcrn", frontend_conf={"checkpoint": str(weights)}, training=training)
    made = make_packed(tiny, root / "dump", setup, Experiment(conf, tiny.data, root / "dump", root / "exp"))
    weights.unlink()
    return made
