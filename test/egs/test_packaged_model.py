"""local/make_packaged_model.sh on the tiny corpus: it waits for all runs, and makes the same bytes twice."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from lines import assert_names
from recipes import ROOT
from started_python import python
from tiny import SPEAKERS, Tiny

from trnet.bin import score, train
from trnet.deploy.model_file import read_model
from trnet.runs.experiment import Experiment
from trnet.runs.spec import RunSpec

pytestmark = [pytest.mark.recipe, pytest.mark.slow]

RECIPE = ROOT / "egs/nemo/ser1"
SYSTEMS = "baseline_c trnet"


@dataclass(frozen=True)
class Rehearsal:
    """The tiny corpus with all runs that hold a speaker out, scored."""

    tiny: Tiny
    root: Path

    @property
    def options(self) -> list[str]:
        """Of train, score and the others, for those runs."""
        folders = ["--corpus-data", str(self.tiny.data.path), "--dump", str(self.tiny.dump)]
        return ["--config", str(self.root / "loso.yaml"), *folders, "--exp", str(self.root / "exp_loso")]

    def make(self, exp: str, out: Path, *options: str, commit: str = "first") -> subprocess.CompletedProcess:
        """The script, with runs of all speakers in `exp`."""
        command = [RECIPE / "local/make_packaged_model.sh", "--corpus", "tiny", "--data", self.tiny.data.path.parent]
        command += ["--dump", self.tiny.dump, "--config", self.root / "all.yaml", "--exp", self.root / exp]
        command += ["--loso-config", self.root / "loso.yaml", "--loso-exp", self.root / "exp_loso", "--out", out]
        env = os.environ | {"PYTHON": str(python()), "PYTHONPATH": str(ROOT), "TRNET_COMMIT": commit}
        return subprocess.run([*map(str, command), *options], env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def rehearsal(tiny, tmp_path_factory) -> Rehearsal:
    root = tmp_path_factory.mktemp("rehearsal")
    config = yaml.safe_load(tiny.config_path.read_text())
    config["training"] |= {"max_epochs": 2, "plateau_patience": 0}
    config["systems"] = {name: config["systems"][name] for name in SYSTEMS.split()}
    (root / "loso.yaml").write_text(yaml.safe_dump(config))
    (root / "all.yaml").write_text("base: loso.yaml\nfolds: {kind: all}\n")
    made = Rehearsal(tiny, root)
    assert train.main([*made.options, "--part", "teacher"]) == train.main(made.options) == 0
    fast = ["--resamples", "100", "--permutations", "100"]
    assert score.main([*made.options, "--noises", "esc", *fast]) == 0
    return made


def test_runs_that_are_missing_are_counted_and_nothing_is_made(rehearsal, tmp_path):
    """Other seeds are not trained."""
    done = rehearsal.make("exp_none", tmp_path / "m.zip", "--loso-seeds", "1 2")
    assert done.returncode != 0 and not done.stdout
    assert_names(done.stderr, "baseline_c 6 12 fold1_seed2")
    assert not (rehearsal.root / "exp_none").exists() and not list(tmp_path.iterdir())


def test_the_model_is_the_same_whenever_it_is_made(rehearsal, tmp_path):
    for exp in ("one", "two"):
        done = rehearsal.make(exp, tmp_path / exp / "m.zip", commit=exp)
        assert done.returncode == 0, done.stdout + done.stderr
    for file in ("m.zip", "m.md"):
        one, two = ((tmp_path / exp / file).read_bytes() for exp in ("one", "two"))
        assert one == two
    model = read_model(tmp_path / "one/m.zip")
    about = model.about
    assert about["speakers"] == list(SPEAKERS) and about["train_utts"] == 48 and about["fold"] == "all"
    assert not {"made_from", "trained_with", "test_speaker"} & set(about)
    found = json.loads((rehearsal.root / "one/calibration.json").read_text())
    assert model.settings.temperature == found["temperature"] and found["speakers"] == list(SPEAKERS)
    chosen = [best_epoch_of(rehearsal, fold) for fold in range(1, 7)]
    assert about["epoch"] == about["epochs"] == sorted(chosen)[2]
    card = (tmp_path / "one/m.md").read_text()
    assert card.startswith("# ") and "${" not in card and "| clean |" in card and "MIT License" in card
    assert "TRNet on log-mels" in card and "trnet-predict m.zip" in card


def best_epoch_of(rehearsal: Rehearsal, number: int) -> int:
    """The epoch in best.pt of trnet."""
    tiny, exp = rehearsal.tiny, rehearsal.root / "exp_loso"
    experiment = Experiment(tiny.config, tiny.data, tiny.dump, exp)
    run: RunSpec = experiment.run("trnet", experiment.dataset.folds[number - 1], 1)
    return run.read_best()["epoch"]


def test_the_script_names_an_unknown_option(rehearsal, tmp_path):
    done = rehearsal.make("exp_none", tmp_path / "m.zip", "--sede", "2")
    assert done.returncode == 2
    assert_names(done.stderr, "--sede --seed")
