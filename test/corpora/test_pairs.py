"""Pairs of noisy and clean speech: trees in the layout of VoiceBank+DEMAND, noisy sets of ser1, and their mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from trnet.bin import prepare_pairs, validate_data_dir
from trnet.corpora.noisy_sets import read_noisy_set
from trnet.corpora.voicebank import read_voicebank
from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.validate import PAIR_TABLES
from trnet.kaldi.validate import validate_data_dir as problems_of
from trnet.utils.errors import TrnetError

RECIPE = Path(__file__).parents[2] / "egs/voicebank_demand/enh1"
SPEAKERS = {"trainset_28spk": ("p226", "p227", "p287"), "testset": ("p232", "p257")}


def write_pair(root: Path, name: str, utt: str, rate: int = 48000, samples: int = 4800) -> None:
    rng = np.random.default_rng(sum(map(ord, utt)))
    clean = rng.normal(0, 0.05, samples)
    for kind, wav in (("clean", clean), ("noisy", clean + rng.normal(0, 0.02, samples))):
        path = root / f"{kind}_{name}_wav" / f"{utt}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wav, rate, subtype="PCM_16")


@pytest.fixture
def tree(tmp_path) -> Path:
    """Two utterances of each speaker at 48 kHz, with the test set's list of noises."""
    root = tmp_path / "DS_10283_2791"
    lines = []
    for name, speakers in SPEAKERS.items():
        for speaker in speakers:
            for number in (1, 2):
                write_pair(root, name, f"{speaker}_{number:03d}")
                lines.append(f"{speaker}_{number:03d} bus {number * 5 - 2.5}")
    (root / "log_testset.txt").write_text("\n".join(lines[-4:]) + "\n")
    (root / "license_text").write_text("CC BY 4.0")
    return root


def options(root: Path, out: Path, contract: str = "none", split: Path = RECIPE / "conf/split.yaml") -> list[str]:
    args = ["--corpus", "voicebank_demand", "--root", str(root), "--out", str(out)]
    return [*args, "--split", str(split), "--contract", contract]


def test_the_recipes_split_of_a_tree_in_the_corpus_own_layout(tree, tmp_path, capsys):
    assert prepare_pairs.main(options(tree, tmp_path / "data")) == 0
    found = {part: DataDir(tmp_path / "data" / part) for part in ("train", "valid", "test")}
    assert {part: sorted(set(data["utt2spk"].values())) for part, data in found.items()} == {
        "train": ["p227"],
        "valid": ["p226", "p287"],
        "test": ["p232", "p257"],
    }
    for data in found.values():
        assert problems_of(data.path, PAIR_TABLES) == []
        for utt in data.utts:
            assert Path(data["wav.scp"][utt]).name == Path(data["clean.scp"][utt]).name == f"{utt}.wav"
            assert "noisy_" in data["wav.scp"][utt] and "clean_" in data["clean.scp"][utt]
            assert float(data["utt2dur"][utt]) == 0.1
    assert found["test"]["utt2snr"] == {"p232_001": "2.5", "p232_002": "7.5", "p257_001": "2.5", "p257_002": "7.5"}
    assert set(found["test"]["utt2noise"].values()) == {"bus"} and not found["train"].has("utt2snr")
    assert "2 pairs at 48000 Hz: resampled to 16000 Hz" in capsys.readouterr().out


def test_a_second_call_does_nothing_and_a_changed_file_does(tree, tmp_path, capsys):
    args = options(tree, tmp_path / "data")
    assert prepare_pairs.main(args) == prepare_pairs.main(args) == 0
    assert capsys.readouterr().out.count("up to date") == 3
    write_pair(tree, "testset", "p257_003")
    assert prepare_pairs.main(args) == 0
    assert capsys.readouterr().out.count("up to date") == 2
    assert len(DataDir(tmp_path / "data/test").utts) == 5


def test_folders_inside_folders_as_some_unpack_them(tree, tmp_path):
    for folder in list(tree.glob("*_wav")):
        inner = folder.rename(tree / "moved")
        folder.mkdir()
        inner.rename(folder / folder.name)
    assert prepare_pairs.main(options(tree.parent, tmp_path / "data")) == 0  # and the folder above it
    assert len(read_voicebank(tree, "trainset_28spk")) == 6


def test_the_count_contract(tree, tmp_path, fails):
    message = fails(prepare_pairs.main, options(tree, tmp_path / "data", str(RECIPE / "conf/contract.yaml")))
    assert "trainset_28spk: expected 11572, found 6; testset: expected 824, found 4" in message
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda r: (r / "clean_testset_wav/p232_002.wav").unlink(),
            "1 recording without clean partner there (p232_002)",
        ),
        (lambda r: (r / "noisy_trainset_28spk_wav/p227_001.wav").unlink(), "without noisy partner there (p227_001)"),
        (
            lambda r: soundfile.write(r / "clean_testset_wav/p257_001.wav", np.full(4700, 0.1), 48000),
            "p257_001.wav: 4800 samples, its partner 4700",
        ),
        (
            lambda r: soundfile.write(r / "clean_testset_wav/p257_001.wav", np.full(4800, 0.1), 16000),
            "p257_001.wav: at 48000 Hz, its partner at 16000 Hz",
        ),
        (
            lambda r: soundfile.write(r / "noisy_testset_wav/p257_002.wav", np.zeros(4800), 48000),
            "noisy_testset_wav/p257_002.wav: is silent",
        ),
        (
            lambda r: (r / "noisy_testset_wav/p257_002.wav").write_bytes(b"RIFF"),
            "p257_002.wav: cannot be read as audio",
        ),
        (lambda r: (r / "log_testset.txt").write_text("p232_001 bus\n"), "log_testset.txt:1: 'p232_001 bus' is not"),
        (lambda r: (r / "clean_testset_wav").rename(r / "clean"), "clean_testset_wav: no such folder; unpack"),
        (lambda r: (r / "noisy_testset_wav").rename(r / "noisy"), "VoiceBank+DEMAND is not there"),
    ],
)
def test_mistakes_are_one_line(tree, tmp_path, fails, spoil, message):
    spoil(tree)
    assert message in fails(prepare_pairs.main, options(tree, tmp_path / "data"))
    assert not (tmp_path / "data/test").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid": {"sets": ["trainset_28spk"], "speakers": ["p999"]}}, "valid: no speaker p999 in trainset_28spk"),
        ({"valid": {"sets": ["trainset_28spk"]}}, "train and valid have a set in common; name the speakers"),
        (
            {
                "train": {"sets": ["trainset_28spk"], "speakers": ["p226"]},
                "valid": {"sets": ["trainset_28spk"], "speakers": ["p226"]},
            },
            "speaker p226 is in two parts",
        ),
        ({"valid": {"sets": ["trainset_28spk"], "speakers": ["p226", "p227", "p287"]}}, "all speakers of"),
        ({"valid": {"speaker": ["p226"]}}, "unknown key 'valid.speaker'"),
        ({"valid": {"sets": ["validset"]}}, "noisy_validset_wav: no such folder"),
    ],
)
def test_splits_that_cannot_be(tree, tmp_path, fails, changes, message):
    split = yaml.safe_load((RECIPE / "conf/split.yaml").read_text()) | changes
    (tmp_path / "split.yaml").write_text(yaml.safe_dump(split))
    args = options(tree, tmp_path / "data", split=tmp_path / "split.yaml")
    assert message in fails(prepare_pairs.main, args)


def test_pairs_of_noisy_sets_are_what_was_mixed_and_the_speech_before_it(tiny, tmp_path):
    sets = ["tiny_esc_10db", "tiny_esc_0db"]
    split = {"train": {"sets": sets}, "valid": {"sets": sets, "speakers": ["S2F"]}}
    split["test"] = {"sets": sets, "speakers": ["S3F", "S3M"]}
    (tmp_path / "split.yaml").write_text(yaml.safe_dump(split))
    args = ["--corpus", "noisy_sets", "--root", str(tiny.root), "--out", str(tmp_path / "data"), "--split"]
    assert prepare_pairs.main([*args, str(tmp_path / "split.yaml")]) == 0
    data = DataDir(tmp_path / "data/train")
    assert len(data.utts) == 3 * 8 * 2 and set(data["utt2spk"].values()) == {"S1F", "S1M", "S2M"}
    utt = "S1F-ang_0-esc_0db"
    noisy, clean = (soundfile.read(data[name][utt])[0] for name in ("wav.scp", "clean.scp"))
    noise = noisy - clean
    assert 10 * np.log10((clean @ clean) / (noise @ noise)) == pytest.approx(0, abs=0.01)
    assert data["utt2snr"][utt] == "0" and data["utt2noise"][utt].startswith("esc")
    with pytest.raises(TrnetError, match="'tiny' is no noisy set"):
        read_noisy_set(tiny.root, "tiny")


def test_the_validator_knows_pairs(tree, tmp_path, capsys):
    assert prepare_pairs.main(options(tree, tmp_path / "data")) == 0
    folder = tmp_path / "data/test"
    assert validate_data_dir.main(["--pairs", str(folder)]) == 0
    lines = (folder / "clean.scp").read_text().splitlines()
    (folder / "clean.scp").write_text("\n".join([*lines[:-1], "p257_002 nowhere.wav"]) + "\n")
    assert validate_data_dir.main(["--pairs", str(folder)]) == 1
    assert "clean.scp:4: p257_002: nowhere.wav does not exist" in capsys.readouterr().err
    (folder / "clean.scp").write_text("\n".join(lines[:-1]) + "\n")
    assert validate_data_dir.main(["--pairs", str(folder)]) == 1
    assert "p257_002 is not in clean.scp" in capsys.readouterr().err
