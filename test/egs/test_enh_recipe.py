"""The enh1 recipes as a user runs them: a tree like VoiceBank+DEMAND from 48 kHz to results."""

import csv

import numpy as np
import pytest
import soundfile
from lines import assert_names
from recipes import copy_recipes, run, start

from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.validate import PAIR_TABLES, validate_data_dir

pytest.importorskip("pesq")
pytest.importorskip("pystoi")

pytestmark = pytest.mark.recipe

SMALL = """
base: dccrn.yaml
sizes: {architecture: mini, n_fft: 128, window: 128, hop: 64}
training: {segment_s: 0.2, batch_size: 2, max_epochs: 2}
"""
SETS = {"trainset_28spk": ("p226", "p227", "p287"), "testset": ("p232", "p257")}


def write_tree(root):
    """Two utterances of half a second of each speaker."""
    rng = np.random.default_rng(0)
    for name, speakers in SETS.items():
        for utt in (f"{speaker}_{number:03d}" for speaker in speakers for number in (1, 2)):
            clean = 0.1 * np.sin(np.arange(24000) * rng.uniform(0.01, 0.1))
            for kind, wav in (("clean", clean), ("noisy", clean + rng.normal(0, 0.03, 24000))):
                (root / f"{kind}_{name}_wav").mkdir(parents=True, exist_ok=True)
                soundfile.write(root / f"{kind}_{name}_wav" / f"{utt}.wav", wav, 48000)


def test_voicebank_demand_from_its_own_layout_to_a_front_end_and_results(tmp_path, monkeypatch):
    recipe = copy_recipes(tmp_path) / "voicebank_demand/enh1"
    write_tree(tmp_path / "corpus")
    (recipe / "conf/small.yaml").write_text(SMALL)
    options = ("--corpus-dir", str(tmp_path / "corpus"), "--contract", "none", "--configs", "conf/small.yaml")
    output = run(recipe, *options, "--nj", "1")
    assert [line for line in output.splitlines() if line.startswith("stage ")] == [
        "stage 0: pairs",
        "stage 1: data dirs",
        "stage 2: train",
        "stage 3: score",
    ]
    monkeypatch.chdir(recipe)
    for part, count in (("train", 2), ("valid", 4), ("test", 4)):
        assert validate_data_dir(f"data/{part}", PAIR_TABLES) == [] and len(DataDir(f"data/{part}").utts) == count
    with open("exp/results.csv", newline="") as stream:
        assert [(row["frontend"], row["n_utts"]) for row in csv.DictReader(stream)] == [("noisy", "4"), ("dccrn", "4")]
    assert "epoch" in (recipe / "exp/RESULTS.md").read_text()
    checkpoint = "exp/dccrn/seed1/frontend.pt"
    frontend = build_frontend({"frontend": "dccrn", "frontend_conf": {"checkpoint": checkpoint}})
    assert frontend.network.config.architecture == "mini"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stage", "4"), "--stage 4 0 3"),
        (("--frontend", "dccrn"), "--frontend '--frontends'"),
        (("--corpus-dir", "nowhere"), "nowhere --corpus-dir"),
        (("--stage", "2", "--frontends", "gtcrn"), "gtcrn conf/gtcrn.yaml cmgan dccrn dpt_fsnet"),
        (("--stage", "2", "--tag", "zz"), "data_zz/train: stage 1 --tag zz"),
        (("--stage", "3", "--nj", "1"), "data/test: stage 1"),
    ],
)
def test_mistakes_are_one_line(tmp_path, options, message):
    process = start(copy_recipes(tmp_path) / "voicebank_demand/enh1", *options, forked=False)
    output, _ = process.communicate(timeout=60)
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    assert process.returncode != 0 and len(errors) == 1, output
    assert_names(errors[0], message)
