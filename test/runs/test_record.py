"""What a run's folder says of it: config.yaml trains it again, run.json where it comes from, train.log how it went."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import CLASSES
from training import history, is_finished, run_of, same_outcome, train

from trnet.bin import train as train_command
from trnet.config import load_config
from trnet.kaldi.data_dir import DataDir
from trnet.runs import record
from trnet.runs.checkpoint import load_checkpoint
from trnet.runs.record import configuration_file, run_log
from trnet.utils import provenance

pytestmark = pytest.mark.slow  # the module as a whole


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory) -> Path:
    """The folder of Baseline-e of fold 1, two epochs, trained by the command; not to be changed."""
    exp = tmp_path_factory.mktemp("exp")
    options = ["--exp", str(exp), "--systems", "baseline_e", "--folds", "1"]
    settings = ["--max-epochs", "2", "--set", "training.lr=0.02 encoder.dropout=0.2", "--set", "training.lr=0.01"]
    assert train_command.main([*tiny.folders(), *options, *settings]) == 0
    return exp / "none/baseline_e/fold1_seed1"


def test_config_yaml_holds_every_setting_as_it_was_used(tiny, finished):
    config = load_config(finished / "config.yaml")
    training = tiny.config.training.replace(max_epochs=2)
    wanted = tiny.config.replace(training=training, encoder=tiny.config.encoder.replace(dropout=0.2))
    assert config == wanted and config.plain() == load_checkpoint(finished / "best.pt")["config"]
    text = (finished / "config.yaml").read_text()
    assert "base:" not in text and "warmup_steps: 0" in text  # defaults are written out


def test_config_yaml_trains_the_very_same_run(tiny, finished, tmp_path):
    options = [
        "--config",
        str(finished / "config.yaml"),
        "--corpus-data",
        str(tiny.data.path),
        "--dump",
        str(tiny.dump),
    ]
    runs = ["--exp", str(tmp_path), "--systems", "baseline_e", "--folds", "1"]
    assert train_command.main([*options, *runs]) == 0
    again = tmp_path / "none/baseline_e/fold1_seed1"
    first, second = (
        (load_checkpoint(f / "best.pt"), load_checkpoint(f / "last.pt"), f / "history.csv") for f in (finished, again)
    )
    assert same_outcome(first, second)
    assert (again / ".train.json").read_text() == (finished / ".train.json").read_text()


def test_run_json_says_where_a_run_comes_from(tiny, finished):
    found = json.loads((finished / "run.json").read_text())
    speakers = dict(DataDir(tiny.data.path)["utt2spk"])
    assert (found["system"], found["fold"], found["seed"]) == ("baseline_e", 1, 1)
    assert found["corpus"] == "tiny" and found["classes"] == list(CLASSES)
    assert (found["test_speaker"], found["valid_speaker"]) == ("S1F", "S1M")
    parts = {name: (part["speakers"], part["utterances"]) for name, part in found["parts"].items()}
    assert {name: set(speakers) for name, (speakers, _) in parts.items()} == {
        "train": {"S2F", "S2M", "S3F", "S3M"},
        "valid": {"S1M"},
        "test": {"S1F"},
    }
    for names, utts in parts.values():
        assert utts == sorted(utt for utt in speakers if speakers[utt] in names)
    assert found["config"] == str(tiny.config_path) and found["config_differs"] in (None, False, True)
    assert found["commit"] == provenance.commit() and found["machine"] == provenance.machine(torch.device("cpu"))
    assert found["tree_differs"] == found["commit"].endswith(("-dirty", "+untracked"))
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0] and found["command"]
    assert found["frontend"]["name"] == "none" and len(found["frontend"]["digest"]) >= 16
    assert found["frontend"]["fingerprint"]["revision"] == 1


def test_a_run_without_front_end_has_none_in_its_record(tiny, trained_c):
    assert json.loads((trained_c.folder / "run.json").read_text())["frontend"] is None


@pytest.fixture(scope="module")
def trained_c(tiny, tmp_path_factory):
    """Baseline-c of fold 1, one epoch."""
    return train(tiny.session(tmp_path_factory.mktemp("c"), max_epochs=1), "baseline_c")


def test_the_command_that_was_typed_is_the_recipes(monkeypatch):
    monkeypatch.setenv(record.COMMAND, "./run.sh --stage 5")
    assert record.command_line() == "./run.sh --stage 5"
    monkeypatch.delenv(record.COMMAND)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-m", "trnet.bin.train", "--config", "a b.yaml"])
    assert record.command_line().endswith("-m trnet.bin.train --config 'a b.yaml'")


def test_whether_git_knows_the_configuration_as_it_is(tmp_path):
    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    path = tmp_path / "conf.yaml"
    path.write_text("a: 1\n")
    assert configuration_file(path) == {"config": str(path), "config_differs": True}
    git("add", ".")
    git("commit", "-qm", "x")
    assert configuration_file(path)["config_differs"] is False
    path.write_text("a: 2\n")
    assert configuration_file(path)["config_differs"] is True


def test_train_log_has_a_line_an_epoch_and_grows_where_a_run_goes_on(tiny, tmp_path):
    for epochs in (1, 2):
        run = train(tiny.session(tmp_path, max_epochs=epochs), "baseline_c")
    lines = (run.folder / "train.log").read_text().splitlines()
    rows = [line for line in lines if "valid_uar" in line]
    assert [line.partition("epoch ")[2].split(",")[0] for line in rows] == ["1", "2"]
    last = history(tiny.session(tmp_path), "baseline_c")[1]
    assert f"loss {last['loss']:.6g}" in rows[1] and f"valid_uar {last['valid_uar']:.6g}" in rows[1]
    assert sum("baseline_c fold 1 seed 1: " in line for line in lines) == 2  # begun, and gone on
    assert sum("best epoch" in line for line in lines) == 2
    assert all(line[:4].isdigit() and line[4] == "-" for line in lines)  # behind their time


@pytest.mark.parametrize("kind", ["folder", "full"])
def test_a_log_that_cannot_be_written_does_not_stop_a_training(tiny, tmp_path, kind, capfd):
    session = tiny.session(tmp_path, max_epochs=1)
    run = run_of(session, "baseline_c")
    session.experiment.stamp(run).begin()
    if kind == "folder":
        (run.folder / "train.log").mkdir()
    elif not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    else:
        (run.folder / "train.log").symlink_to("/dev/full")
    train(session, "baseline_c")
    assert is_finished(session, "baseline_c") and "Traceback" not in capfd.readouterr().err


def test_the_lines_of_one_run_are_not_those_of_another(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with run_log(tmp_path / "a") as a, run_log(tmp_path / "b") as b:
        a.info("first")
        b.info("second")
    assert "first" in (tmp_path / "a/train.log").read_text() and "second" in (tmp_path / "b/train.log").read_text()
    assert "second" not in (tmp_path / "a/train.log").read_text() and capsys.readouterr().out == ""
