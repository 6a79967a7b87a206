"""Trained and packed models of the tiny corpus: with the front-end none, and with an untrained GTCRN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tiny import SETS, Tiny

from trnet.bin import enhance, make_fbank, pack, train
from trnet.conditions import noisy_conditions
from trnet.eval.run_predictions import predict_run
from trnet.frontend import build_frontend
from trnet.runs.experiment import Experiment
from trnet.train.session import Session


@dataclass(frozen=True)
class Packed:
    """A packed run of fold 1, what it was made by, and what stage 7 said."""

    tiny: Tiny
    options: list[str]  # for pack
    exp: Path
    experiment: Experiment
    model: Path

    @property
    def predictions(self) -> Path:
        return self.exp / self.experiment.config.frontend_name / "trnet/fold1_seed1/predictions.csv"


def make_packed(tiny: Tiny, exp: Path, dump: Path, setup: list[str], experiment: Experiment) -> Packed:
    """Stages 5 and 6 of fold 1, three epochs; of stage 7 the predictions and the model file."""
    runs = [*tiny.folders(dump), *setup, "--exp", str(exp), "--folds", "1", "--max-epochs", "3"]
    systems = ["--systems", "baseline_c trnet"]
    assert train.main([*runs, *systems, "--part", "teacher"]) == train.main([*runs, *systems]) == 0
    run = experiment.run("trnet", experiment.dataset.folds[0], 1)
    predict_run(Session(experiment, torch.device("cpu")), run, noisy_conditions(["esc"], [10.0, 0.0]))  # of stage 7
    assert pack.main(runs) == 0
    return Packed(tiny, runs, exp, experiment, exp / experiment.config.frontend_name / "trnet_fold1_seed1.zip")


@pytest.fixture(scope="session")
def packed(tiny, tmp_path_factory) -> Packed:
    """With the front-end none; not to be changed."""
    exp = tmp_path_factory.mktemp("packed") / "exp"
    return make_packed(tiny, exp, tiny.dump, [], tiny.experiment(exp, max_epochs=3))


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
    experiment = tiny.experiment(root / "exp", root / "dump", max_epochs=3)
    conf = replace(experiment.config, frontend="gtcrn", frontend_conf={"checkpoint": str(weights)})
    made = make_packed(tiny, root / "exp", root / "dump", setup, replace(experiment, config=conf))
    weights.unlink()
    return made
