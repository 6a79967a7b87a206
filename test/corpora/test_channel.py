"""``--channel`` of stage 1: refused where channels cancel, else kept in a table that all later stages read."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from trnet.audio.crop import read_clip
from trnet.bin import prepare_corpus, prepare_noise, validate_data_dir
from trnet.kaldi.data_dir import DataDir

RATE = 16000


def samples(key: int) -> np.ndarray:
    return np.random.default_rng(key).normal(0, 0.1, RATE).astype(np.float32)


@pytest.fixture
def noises(tmp_path) -> Path:
    """A folder of three noises: mono, stereo, and stereo that cancels."""
    folder = tmp_path / "noises"
    folder.mkdir()
    sounds = {"mono": samples(1)[:, None], "wide": np.stack([samples(2), samples(3)], axis=1)}
    for name, sound in {**sounds, "opposed": np.stack([samples(4), -samples(4)], axis=1)}.items():
        soundfile.write(folder / f"{name}.wav", sound, RATE, subtype="FLOAT")
    return folder


def test_noise_that_cancels_is_refused_and_a_channel_is_taken_on_request(noises, tmp_path, fails, capfd):
    out = tmp_path / "data/noise_own"
    call = ["--noise", "nonspeech", "--root", str(noises), "--out", str(out)]
    assert "opposed.wav: its 2 channels cancel" in fails(prepare_noise.main, call)
    assert prepare_noise.main([*call, "--channel", "1"]) == 0
    assert "2 stereo recordings: channel 1 taken" in capfd.readouterr().out
    assert DataDir(out)["reco2channel"] == {"mono": "1", "opposed": "1", "wide": "1"}
    assert validate_data_dir.main([str(out), "--noise"]) == 0
    for name, wanted in (("mono", samples(1)), ("opposed", -samples(4)), ("wide", samples(3))):
        assert np.array_equal(read_clip(DataDir(out).clip(name), RATE), wanted)
    assert prepare_noise.main([*call, "--channel", "1"]) == 0
    assert "up to date" in capfd.readouterr().out
    assert prepare_noise.main([*call, "--channel", "0"]) == 0  # another one is another data dir
    assert np.array_equal(read_clip(DataDir(out).clip("opposed"), RATE), samples(4))
    for channel, message in (("2", "has no channel 2"), ("-1", "--channel"), ("left", "--channel")):
        assert message in fails(prepare_noise.main, [*call, f"--channel={channel}"])


def test_the_mean_writes_no_table_and_leaves_the_stamp_as_it_was(small_iemocap, tmp_path, conf, capsys):
    out = tmp_path / "data/iemocap"
    call = ["--corpus", "iemocap", "--root", str(small_iemocap), "--out", str(out), "--contract", "none"]
    call += ["--labels", str(conf("iemocap", "labels.yaml"))]
    assert prepare_corpus.main(call) == 0
    assert not (out / "reco2channel").exists() and '"channel"' not in (out / ".prepare.json").read_text()
    assert prepare_corpus.main([*call, "--channel", "mean"]) == 0
    assert "up to date" in capsys.readouterr().out
    assert prepare_corpus.main([*call, "--channel", "0"]) == 0
    data = DataDir(out)
    assert set(data["reco2channel"].values()) == {"0"} and list(data["reco2channel"]) == data.utts


def test_a_table_of_channels_is_validated(small_iemocap, tmp_path, conf, capsys):
    out = tmp_path / "data/iemocap"
    call = ["--corpus", "iemocap", "--root", str(small_iemocap), "--out", str(out), "--contract", "none"]
    assert prepare_corpus.main([*call, "--labels", str(conf("iemocap", "labels.yaml")), "--channel", "0"]) == 0
    table = out / "reco2channel"
    lines = table.read_text().splitlines(keepends=True)
    for text, message in (
        ("".join(lines[1:]), "is not in reco2channel"),
        ("".join(lines).replace(" 0", " left", 1), "'left' is no channel"),
        ("".join(lines).replace(" 0", " mean", 1), ""),
    ):
        table.write_text(text)
        capsys.readouterr()
        assert validate_data_dir.main([str(out)]) == bool(message) and message in capsys.readouterr().err
