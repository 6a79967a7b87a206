"""The mini recipe called again once it is done: nothing to do, and a run repeated from its own settings."""

import json

import pytest
import torch
from mini import FEWER, SNRS, SYSTEMS
from recipes import run

pytestmark = pytest.mark.recipe


def test_a_second_call_does_nothing(recipe):
    made = [*recipe.glob("exp/**/*.pt"), *recipe.glob("exp/nsnet2/*.*"), *recipe.glob("exp/nsnet2/figures/*")]
    before = {path: path.stat().st_mtime_ns for path in made}
    output = run(recipe, *FEWER)
    assert {path: path.stat().st_mtime_ns for path in made} == before and len(made) > 4 * len(SYSTEMS)
    sets = 1 + 2 * len(SNRS)  # mixed but for the clean one, enhanced, and the features of both
    assert output.count("up to date") >= 2 * len(SYSTEMS) + (sets - 1) + sets + 2 * sets + 3  # data dirs


def test_a_run_is_repeated_from_the_settings_in_its_folder(recipe):
    folder = "nsnet2/baseline_e/fold1_seed1"
    options = ("--stage", "6", "--stop-stage", "6", "--folds", "1", "--systems", "baseline_e", "--exp", "exp_again")
    run(recipe, "--config", f"exp/{folder}/config.yaml", *options)
    first, again = (torch.load(recipe / exp / folder / "best.pt") for exp in ("exp", "exp_again"))
    assert first["epoch"] == again["epoch"]
    assert all(torch.equal(value, again["model"][key]) for key, value in first["model"].items())
    record = json.loads((recipe / "exp_again" / folder / "run.json").read_text())
    assert record["command"].startswith("./run.sh ") and "--exp exp_again" in record["command"]
    assert record["config"] == f"exp/{folder}/config.yaml"
