"""``folds: {kind: all}``: trained on everyone for so many epochs, validated on nobody; stopped, resumed, packed."""

import csv
from pathlib import Path

import pytest
from tiny import Tiny
from training import Stopped, history, is_finished, outcome, run_of, same_outcome, same_weights, stop_at, train
from training import with_settings as changed

from trnet.bin import pack, score
from trnet.bin import train as train_command
from trnet.deploy.hub import card
from trnet.deploy.model_file import read_model
from trnet.eval.other_corpus import OtherCorpus
from trnet.eval.predictions import read_predictions
from trnet.eval.run_predictions import predict_run, predictions_path
from trnet.eval.run_report import RunReport
from trnet.train.session import Session

pytestmark = pytest.mark.slow  # the module as a whole

ALL = ["--set", "folds.kind=all training.plateau_patience=0"]


def session_of_all(tiny: Tiny, exp: Path, **training) -> Session:
    return changed(tiny, exp, {"folds": {"kind": "all"}}, plateau_patience=0, **training)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory) -> Session:
    """Teacher and trnet of everyone, three epochs each; not to be changed."""
    session = session_of_all(tiny, tmp_path_factory.mktemp("all"))
    for name in ("baseline_c", "trnet"):
        train(session, name)
    return session


def test_everyone_is_trained_on_and_the_last_epoch_is_kept(tiny, whole):
    (fold,) = whole.experiment.dataset.folds
    assert fold.train == tuple(tiny.data.utts) and not fold.valid and not fold.test
    assert run_of(whole, "trnet").title == "trnet on all speakers seed 1"
    best, last, table = outcome(whole, "trnet")
    assert best["epoch"] == 3 and same_weights(best["model"], last["model"])
    assert [row["valid_uar"] for row in last["history"]] == [None] * 3
    rows = list(csv.DictReader(table.open()))
    assert {(row["valid_uar"], row["c_clean"], row["c_noisy"]) for row in rows} == {("", "", "")}
    assert float(rows[0]["loss"]) > 0 and is_finished(whole, "trnet")


def test_the_moving_average_is_kept_where_there_is_one(tiny, tmp_path):
    session = session_of_all(tiny, tmp_path, ema=0.9)
    train(session, "baseline_c")
    best, last, _ = outcome(session, "baseline_c")
    average = {key.removeprefix("module."): value for key, value in last["average"].items() if "module." in key}
    assert same_weights(best["model"], average) and not same_weights(best["model"], last["model"])


@pytest.mark.parametrize("method", ["train_epoch", "_save", "validate"])
def test_a_run_that_was_stopped_goes_on_to_the_very_same_end(tiny, whole, tmp_path, monkeypatch, method):
    session = session_of_all(tiny, tmp_path)
    stop_at(monkeypatch, method, 2)
    with pytest.raises(Stopped):
        train(session, "baseline_c")
    monkeypatch.undo()
    assert len(history(session, "baseline_c")) == 1
    train(session, "baseline_c")
    assert same_outcome(outcome(session, "baseline_c"), outcome(whole, "baseline_c"))


def test_more_epochs_go_on_from_fewer(tiny, whole, tmp_path):
    train(session_of_all(tiny, tmp_path, max_epochs=2), "baseline_c")
    session = session_of_all(tiny, tmp_path)
    assert not is_finished(session, "baseline_c")
    train(session, "baseline_c")
    assert same_outcome(outcome(session, "baseline_c"), outcome(whole, "baseline_c"))


def test_a_damaged_checkpoint_is_named(tiny, tmp_path, fails):
    options = [*tiny.folders(), "--exp", str(tmp_path), "--systems", "baseline_c", "--part", "teacher"]
    assert train_command.main([*options, *ALL]) == 0
    last = run_of(session_of_all(tiny, tmp_path), "baseline_c").last
    last.write_bytes(last.read_bytes()[:-100])
    assert str(last) in fails(train_command.main, [*options, *ALL])


def test_stage_7_has_nothing_to_score_and_packs(tiny, whole, capfd):
    options = [*tiny.folders(), *ALL, "--exp", str(whole.experiment.exp)]
    capfd.readouterr()
    assert score.main([*options, "--noises", "esc"]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    assert "nothing to score" in line
    assert not list(whole.experiment.exp.rglob("results.csv"))
    assert pack.main(options) == 0
    model = read_model(whole.experiment.exp / "none" / "trnet_fold1_seed1.zip")
    about = model.about
    assert (about["epoch"], about["valid_uar"], about["test_speaker"], about["scores"]) == (3, None, None, [])
    assert same_weights(model.weights, outcome(whole, "trnet")[0]["model"])
    assert "unknown" not in card(model, "hf://a/b")


def test_a_schedule_that_follows_the_validation_is_refused_before_anything_is_trained(tiny, tmp_path, fails):
    options = [*tiny.folders(), "--exp", str(tmp_path), "--set", "folds.kind=all"]  # the corpus has a plateau
    assert "plateau" in fails(train_command.main, options)
    assert not list(tmp_path.iterdir())


def test_there_is_one_fold(tiny, tmp_path, fails):
    options = [*tiny.folders(), *ALL, "--exp", str(tmp_path), "--folds", "2"]
    assert "--folds 2" in fails(train_command.main, options)


def test_another_corpus_can_be_tested_on(tiny, whole):
    experiment = whole.experiment
    run = run_of(whole, "trnet")
    other = OtherCorpus(experiment.config, tiny.data, tiny.dump, experiment.exp)
    predict_run(whole, run, [], other)
    assert len(read_predictions(predictions_path(run.folder, other))) == len(tiny.data.utts)
    header = RunReport(whole, [run], [], other).header()
    assert "1 of 1" in header["Folds"] and "speakers" not in header["Trained on"] and "3 to 3" in header["Epochs"]
