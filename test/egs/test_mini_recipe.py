"""The mini recipe from audio to results, as a user runs it, interrupted twice on the way."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from mini import SNRS, SYSTEMS
from mixtures import measured_snr, remix

from trnet.audio.crop import read_cropped
from trnet.audio.reading import read_audio
from trnet.config import Fbank
from trnet.features.archive import open_features
from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.validate import SPEECH_TABLES, validate_data_dir
from trnet.model.frames import ValidFrames
from trnet.model.snr_gate import cosine_similarity

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def results(recipe: Path) -> list[dict[str, str]]:
    with open(recipe / "exp/nsnet2/results.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_results_have_every_run_and_condition(results):
    assert list(results[0]) == "system,frontend,fold,seed,noise,snr_db,n_utts,uar,war".split(",")
    conditions = {("clean", "")} | {(noise, snr) for noise in ("esc", "musan") for snr in SNRS}
    found = {(r["system"], r["fold"], r["noise"], r["snr_db"]) for r in results}
    assert found == {(s, fold, *c) for s in SYSTEMS for fold in ("1", "2") for c in conditions}
    assert {r["frontend"] for r in results} == {"nsnet2"}


def test_clean_speech_is_recognised_above_chance(results):
    """By all systems together: what one of them makes of 80 utterances after so short a training is a draw."""
    clean = [float(r["uar"]) for r in results if r["noise"] == "clean"]
    assert len(clean) == 2 * len(SYSTEMS) and np.mean(clean) > 35, clean  # chance is 25 %, 50 to 63 % were seen


def test_d_falls_with_the_snr_on_seen_and_unseen_noise(recipe, monkeypatch):
    """What Figure 2 of the paper rests on, where no training is yet part of it: c starts as the mean of d, Eq. 1."""
    monkeypatch.chdir(recipe)

    def mean_d(name: str) -> float:
        noisy, enhanced = (open_features(Path("dump", kind, name)) for kind in ("raw", "nsnet2"))
        d = []
        for utt in DataDir(Path("data", name)).utts[::4]:
            x, x_e = (torch.from_numpy(np.array(matrices[utt]))[None] for matrices in (noisy, enhanced))
            frames = ValidFrames(torch.tensor([x.shape[1]]), x.shape[1])
            d.append(float(cosine_similarity(x, x_e, frames, centred=True).mean()))
        return float(np.mean(d))

    clean = mean_d("mini")
    for noise in ("esc", "musan"):
        means = [clean, *(mean_d(f"mini_{noise}_{snr}db") for snr in SNRS)]
        # by 0.03 to 0.15 from one to the next, of features and a front-end that are alike everywhere
        assert all(more - less > 0.01 for more, less in zip(means, means[1:], strict=False)), (noise, means)


def test_c_is_said_of_trnet_and_of_no_baseline(recipe):
    """In [0, 1], and not the same for all; how it follows the SNR after so few steps is a draw."""
    c = defaultdict(list)
    with open(recipe / "exp/nsnet2/predictions.csv", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["system"] == "trnet":
                c[row["noise"], row["snr_db"]].append(float(row["c"]))
            elif row["system"].startswith("baseline"):
                assert row["c"] == ""
    assert set(c) == {("clean", "")} | {(noise, snr) for noise in ("esc", "musan") for snr in SNRS}
    values = np.concatenate(list(c.values()))
    assert 0 <= values.min() < values.max() <= 1


def test_predictions_are_of_the_test_speaker_alone(recipe):
    speaker = {"1": "Ses01F", "2": "Ses01M"}
    with open(recipe / "exp/nsnet2/predictions.csv", newline="") as stream:
        for row in csv.DictReader(stream):
            assert row["utt_id"].startswith(speaker[row["fold"]])


def test_report_and_figures_are_there(recipe):
    text = (recipe / "exp/nsnet2/RESULTS.md").read_text()
    for heading in ("Table 1: mean over folds", "pooled", "UAR per SNR: esc", "UAR per SNR: musan"):
        assert heading in text
    assert "improvised" in text and "scripted" in text and "ranks nothing" in text
    for name in ("c_vs_snr.png", "uar_vs_snr.png", "confusion_trnet.png"):
        assert (recipe / "exp/nsnet2/figures" / name).stat().st_size > 5000
    page = (recipe / "exp/nsnet2/report.html").read_text()
    assert page.count("data:audio/flac") == 36 and page.count("data:image/svg") == 2 + 1 + 6 + 2 * len(SYSTEMS)
    assert 'id="missing"' not in page and len(page) < 10_000_000
    assert len(list(recipe.glob("exp/nsnet2/trnet_fold[12]_seed1.zip"))) == 1  # the best one, packed
    with open(recipe / "exp/nsnet2/statistics.csv", newline="") as stream:
        against = {row["against"] for row in csv.DictReader(stream)}
    assert against == {"", *SYSTEMS} - {"trnet"}


def test_data_dirs_keep_kaldis_rules(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    folders = [Path("data/mini"), *Path("data").glob("mini_*db")]
    assert len(folders) == 1 + 2 * len(SNRS)
    for folder in folders:
        assert validate_data_dir(folder, SPEECH_TABLES) == []


def test_noisy_audio_is_mixed_again_to_the_sample_at_its_snr(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    features, speech = Fbank(), DataDir("data/mini")
    for name in ("esc", "musan"):
        noise, noisy = DataDir(f"data/noise_{name}"), DataDir(f"data/mini_{name}_10db")
        for utt in noisy.utts[::40]:
            audio = read_audio(noisy.clip(utt).path, 16000)
            np.testing.assert_array_equal(audio, remix(noisy, speech, noise, utt, features))
            assert measured_snr(read_cropped(speech.clip(noisy["utt2clean"][utt]), features), audio) == pytest.approx(
                10, abs=0.05
            )


def test_no_noise_source_serves_two_sessions(recipe, monkeypatch):
    monkeypatch.chdir(recipe)
    for name in ("esc", "musan"):
        noisy, source = DataDir(f"data/mini_{name}_0db"), DataDir(f"data/noise_{name}")["utt2src"]
        sessions = defaultdict(set)
        for utt, use in noisy["utt2noise"].items():
            sessions[source[use.split()[0]]].add(noisy["utt2group"][utt])
        assert all(len(groups) == 1 for groups in sessions.values())


def test_front_end_improves_si_sdr_on_mini(recipe, monkeypatch):
    monkeypatch.chdir(recipe)

    def si_sdr(estimate: np.ndarray, clean: np.ndarray) -> float:
        target = (estimate @ clean) / (clean @ clean) * clean
        return float(10 * np.log10((target @ target) / ((estimate - target) @ (estimate - target))))

    speech = DataDir("data/mini")
    gains = []
    for name in ("mini_esc_10db", "mini_musan_10db"):
        noisy, enhanced = DataDir(f"data/{name}"), DataDir(f"dump/nsnet2/{name}")
        for utt in noisy.utts[::20]:
            clean = read_cropped(speech.clip(noisy["utt2clean"][utt]), Fbank())
            before, after = (read_audio(d.clip(utt).path, 16000) for d in (noisy, enhanced))
            gains.append(si_sdr(after, clean) - si_sdr(before, clean))
    assert np.mean(gains) > 1.0, np.mean(gains)
