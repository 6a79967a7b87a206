"""The nemo recipe on small corpora in the real formats: rates, stereo, trees as they come."""

import csv
from pathlib import Path

import pytest
import soundfile
import torch
import torchaudio
from recipes import SMALL, copy_recipes, run
from shared import shared

from trnet.kaldi.data_dir import DataDir

pytestmark = pytest.mark.recipe

CLASSES = ("anger", "happiness", "neutral", "sadness")


def resample(source: Path, target: Path, rate: int, channels: int = 1) -> None:
    """Write a recording as 16-bit WAV at another rate, its channels alike."""
    samples, own = soundfile.read(source, dtype="float32")
    samples = torchaudio.functional.resample(torch.from_numpy(samples), own, rate)
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, torch.stack([samples] * channels, dim=1).clamp(-1, 1).numpy(), rate, subtype="PCM_16")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nEMO in 24 kHz WAV (an utterance of each speaker and class), ESC-50 in 44.1 kHz WAV, stereo nonspeech noises."""
    root = tmp_path_factory.mktemp("real")
    lines = shared("data", "nemo", "data.tsv").read_text().splitlines()
    seen = set()
    kept = [lines[0]]
    for line in lines[1:]:
        name, emotion, _, _, speaker, *_ = line.split("\t")
        if emotion in CLASSES and (speaker, emotion) not in seen:
            seen.add((speaker, emotion))
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
    options += ["--nj", "1", "--snrs", "10 0", "--folds", "9", "--max-epochs", "1", "--systems", "baseline_n trnet"]
    output = run(recipe, *map(str, options))
    assert "24000 Hz" in output and "44100 Hz" in output and "stereo" in output
    with open(recipe / "exp/gtcrn/results.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {r["noise"] for r in rows} == {"clean", "esc", "nonspeech"} and len(rows) == 2 * 5
    assert {r["n_utts"] for r in rows} == {"4"}  # one of each class by the ninth speaker
    data = DataDir(recipe / "data/nemo")
    assert len(data.utts) == 9 * 4 and set(data["utt2emo"].values()) == {"ang", "hap", "neu", "sad"}
