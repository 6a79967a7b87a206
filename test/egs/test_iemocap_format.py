"""The iemocap recipe on a small corpus in IEMOCAP's format and trees like ESC-50 and MUSAN; a second such corpus."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from recipes import ROOT, SMALL, copy_recipes, run

pytestmark = pytest.mark.recipe


def test_iemocap_recipe_takes_a_tree_in_its_format(made_corpora, tmp_path):
    recipe = copy_recipes(tmp_path) / "iemocap/ser1"
    speech = tmp_path / "iemocap"
    command = [sys.executable, ROOT / "egs/mini/ser1/local/make_speech.py", "--out", speech, "--utts-per-emotion", "1"]
    subprocess.run(command, check=True, capture_output=True)
    (recipe / "conf/small.yaml").write_text(SMALL)
    options = ["--corpus-dir", speech, "--esc-dir", made_corpora / "esc", "--musan-dir", made_corpora / "musan"]
    options += ["--nj", "1"]
    one_each = {f"Ses{n:02d}{sex}": dict.fromkeys(("ang", "hap", "neu", "sad"), 1) for n in range(1, 6) for sex in "FM"}
    (recipe / "conf/contract.yaml").write_text(yaml.safe_dump(one_each))
    stage_1 = [*map(str, options), "--frontend", "none", "--stage", "1", "--stop-stage", "1"]
    assert "expected 2000, found 80" in run(recipe, *stage_1, status=1)  # of ESC-50
    assert "expected 631" in run(recipe, *stage_1, "--noises", "musan", status=1)
    options += ["--noise-contracts", "false", "--config", "conf/small.yaml", "--frontend", "none", "--snrs", "5"]
    runs = ["--folds", "10", "--seeds", "1 2", "--max-epochs", "1", "--systems", "baseline_n"]
    run(recipe, *map(str, options + runs))
    text = (recipe / "exp/none/RESULTS.md").read_text()
    assert "10:Ses05M" in text and "(55.85)" in text  # the paper's figure for Baseline-n beside ours
    with open(recipe / "exp/none/results.csv", newline="") as stream:
        assert {(r["seed"], r["noise"]) for r in csv.DictReader(stream)} == {
            (seed, noise) for seed in "12" for noise in ("clean", "esc", "musan")
        }

    other = Path(shutil.copytree(recipe, recipe.parents[1] / "port/ser1", ignore=shutil.ignore_patterns("exp", "d*")))
    script = (other / "run.sh").read_text()
    (other / "run.sh").write_text(script.replace("--corpus iemocap", "--corpus port --layout iemocap"))
    run(other, *map(str, options), "--stage", "1", "--stop-stage", "4")
    run(recipe, *map(str, options + runs), "--stage", "7", "--test-corpus", "port")
    with open(recipe / "exp/none/test_port/results.csv", newline="") as stream:
        assert {(r["seed"], r["fold"], r["n_utts"]) for r in csv.DictReader(stream)} == {
            (seed, "10@port", "40") for seed in "12"
        }
