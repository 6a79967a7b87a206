"""The command: layers from audio to a page, the probe from dumped features to a row of the table."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from lines import assert_names
from tiny import CONFIG, Tiny
from upstreams import make_upstream

from trnet.bin import add_system, probe_layers
from trnet.probe import choice


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    return make_upstream("whisper", tmp_path_factory.mktemp("whisper") / "net")


@pytest.fixture
def options(tiny: Tiny, whisper, tmp_path) -> list[str]:
    """Of an experiment on the tiny network's hidden states."""
    config = tmp_path / "upstream.yaml"
    config.write_text(yaml.safe_dump(CONFIG | {"features": {"type": "upstream", "model": str(whisper)}}))
    words = ["--config", str(config), "--corpus-data", str(tiny.data.path), "--dump", str(tmp_path / "dump")]
    return [*words, "--exp", str(tmp_path / "exp"), "--folds", "1 3"]


def log_mels(tiny: Tiny, tmp_path: Path) -> list[str]:
    """Options of the tiny experiment."""
    return [*tiny.folders(), "--exp", str(tmp_path / "exp")]


@pytest.mark.slow
def test_layers_are_probed_once(options, tmp_path, capsys, monkeypatch):
    assert probe_layers.main(options) == 0
    out = tmp_path / "exp/probe"
    scores = pd.read_csv(out / "layers.csv", dtype={"layer": str})
    assert set(scores["fold"]) == {1, 3} and set(scores["condition"]) == {"clean", "esc_10db", "esc_0db"}
    assert list(scores["layer"].unique()) == ["0", "1", "2", "3", "4", "5", "6", "middle"]
    assert scores["uar"].between(0, 100).all() and len(scores) == 2 * 3 * 8
    page = (out / "layers.md").read_text()
    assert "esc 10 dB" in page and "Fold 3" in page and "net" in page and (out / "layers.png").stat().st_size > 10_000
    assert sorted(path.name for path in (tmp_path / "dump/net_layers/raw").glob("[!.]*")) == [
        "tiny",
        "tiny_esc_0db",
        "tiny_esc_10db",
    ]
    capsys.readouterr()
    monkeypatch.setattr(choice, "score_layers", None)
    assert probe_layers.main(options) == 0
    assert capsys.readouterr().out.count("up to date") == 3 + 1
    (out / "layers.md").unlink()
    monkeypatch.undo()
    assert probe_layers.main(options) == 0 and (out / "layers.md").read_text() == page


def test_the_snrs_that_are_probed_can_be_named(options, tmp_path):
    assert probe_layers.main([*options, "--folds", "1", "--snrs", "0"]) == 0
    scores = pd.read_csv(tmp_path / "exp/probe/layers.csv")
    assert set(scores["condition"]) == {"clean", "esc_0db"}


def test_the_probe_is_a_row_of_the_table(tiny, tmp_path, capsys):
    options = log_mels(tiny, tmp_path)
    assert probe_layers.main([*options, "--test", "true", "--noises", "esc"]) == 0
    table = tmp_path / "exp/probe/linear_probe.csv"
    frame = pd.read_csv(table)
    assert list(frame.columns) == ["utt_id", "label", "condition", "fold", "ang", "hap", "neu", "sad"]
    assert len(frame) == 48 * 3 and set(frame["condition"]) == {"clean", "esc_10db", "esc_0db"}
    emotion = tiny.data["utt2emo"]
    assert (frame["label"] == frame["utt_id"].map(emotion)).mean() > 0.8  # a class is a pitch
    capsys.readouterr()
    assert probe_layers.main([*options, "--test", "true", "--noises", "esc"]) == 0
    assert "up to date" in capsys.readouterr().out
    words = [*options[:4], *options[6:], "--name", "linear_probe", "--predictions", str(table)]
    assert add_system.main(words) == 0 and (tmp_path / "exp/none/peers/linear_probe/predictions.csv").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "features.type fbank --test"),
        (["--test", "true"], "--noises"),
        (["--noises", "esc"], "--noises --test"),
        (["--test", "yes"], "--test 'yes'"),
        (["--test", "true", "--noises", "esc", "--set", "folds.kind=all training.plateau_patience=0"], "folds.kind"),
        (["--test", "true", "--noises", "rain"], "tiny_rain_10db"),
        (["--test", "true", "--noises", "esc", "--folds", "7"], "--folds 7 6"),
    ],
)
def test_what_is_wrong_is_one_line(tiny, tmp_path, fails, words, message):
    assert_names(fails(probe_layers.main, [*log_mels(tiny, tmp_path), *words]), message)


def test_a_noisy_set_that_is_not_there_is_one_line(options, fails):
    assert_names(fails(probe_layers.main, [*options, "--snrs", "7"]), "tiny_esc_7db")
