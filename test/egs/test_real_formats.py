"""The nemo and iemocap recipes on small corpora in the real formats: rates, stereo, IEMOCAP and MUSAN trees."""

import csv
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import soundfile
import torch
import torchaudio
import yaml
from recipes import ROOT, copy_recipes, run
from shared import shared

from trnet.kaldi.data_dir import DataDir

pytestmark = pytest.mark.recipe

CLASSES = ("anger", "happiness", "neutral", "sadness")
SMALL = "base: recipe.yaml\nencoder: {channels: [4, 8]}\npooling: {attention: 4}\n"


def resample(source: Path, target: Path, rate: int, channels: int = 1) -> None:
    """Write a recording as 16-bit WAV at another rate, its channels alike."""
    samples, own = soundfile.read(source, dtype="float32")
    samples = torchaudio.functional.resample(torch.from_numpy(samples), own, rate)
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, torch.stack([samples] * channels, dim=1).clamp(-1, 1).numpy(), rate, subtype="PCM_16")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nEMO in 24 kHz WAV (2 utterances a speaker and class), ESC-50 in 44.1 kHz WAV, stereo nonspeech noises."""
    root = tmp_path_factory.mktemp("real")
    lines = shared("data", "nemo", "data.tsv").read_text().splitlines()
    seen: Counter = Counter()
    kept = [lines[0]]
    for line in lines[1:]:
        name, emotion, _, _, speaker, *_ = line.split("\t")
        if emotion in CLASSES and seen[speaker, emotion] < 2:
            seen[speaker, emotion] += 1
            kept.append(line)
            stem = Path(name).stem
            source = shared("data", "nemo", "samples") / f"{stem}.ogg"
            resample(source, root / "nemo/samples" / f"{stem}.wav", 24000)
    (root / "nemo/data.tsv").write_text("\n".join(kept) + "\n")
    meta = shared("data", "esc10", "meta", "esc50.csv").read_text().splitlines()
    clips = meta[1:20]
    (root / "esc/meta").mkdir(parents=True)
    (root / "esc/meta/esc50.csv").write_text("\n".join([meta[0], *(c.replace(".ogg", ".wav") for c in clips)]) + "\n")
    for clip in clips:
        stem = Path(clip.split(",")[0]).stem
        resample(shared("data", "esc10", "audio") / f"{stem}.ogg", root / "esc/audio" / f"{stem}.wav", 44100)
    for number in range(1, 13):
        resample(shared("data", "nonspeech") / f"n{number}.ogg", root / "nonspeech" / f"n{number}.wav", 22050, 2)
    return root


def test_nemo_from_real_formats_to_results(real, tmp_path):
    recipe = copy_recipes(tmp_path) / "nemo/ser1"
    (recipe / "conf/small.yaml").write_text(SMALL)
    checkpoint = shared("models", "gtcrn", "model_trained_on_dns3.tar")
    options = ["--corpus-dir", real / "nemo", "--esc-dir", real / "esc", "--nonspeech-dir", real / "nonspeech"]
    options += ["--frontend-checkpoint", checkpoint, "--config", "conf/small.yaml", "--contract", "none"]
    options += ["--nj", "1", "--snrs", "10 0", "--folds", "9", "--max-epochs", "2", "--systems", "baseline_n trnet"]
    output = run(recipe, *map(str, options))
    assert "24000 Hz" in output and "44100 Hz" in output and "stereo" in output
    with open(recipe / "exp/gtcrn/results.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {r["noise"] for r in rows} == {"clean", "esc", "nonspeech"} and len(rows) == 2 * 5
    assert {r["n_utts"] for r in rows} == {"8"}  # 2 of each class by the ninth speaker
    data = DataDir(recipe / "data/nemo")
    assert len(data.utts) == 9 * 4 * 2 and set(data["utt2emo"].values()) == {"ang", "hap", "neu", "sad"}


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
    run(recipe, *stage_1, "--noise-contracts", "false")
    options += ["--contract", "none", "--config", "conf/small.yaml", "--frontend", "none"]
    options += ["--snrs", "5"]
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
