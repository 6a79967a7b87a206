"""The loop: repeatable, resumable, stopped anywhere; several folds on one trajectory of weights."""

import csv
import math

import pytest
import torch
from near import assert_near
from tiny import CLASSES
from training import (
    Stopped,
    history,
    is_finished,
    outcome,
    run_of,
    same_outcome,
    same_weights,
    stop_at,
    train,
    with_scores,
    with_teacher,
)

from trnet.runs.history import best_epoch
from trnet.train import trainer
from trnet.train.ser_job import SERJob
from trnet.train.trainer import LossMeans, Step, Trainer
from trnet.utils.errors import TrnetError
from trnet.utils.provenance import commit, machine

pytestmark = pytest.mark.slow  # the module as a whole


def test_a_run_leaves_the_chosen_epoch_the_last_one_and_its_history(trained):
    best, last, table = outcome(trained, "trnet")
    rows = list(csv.DictReader(table.open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and len(last["history"]) == 3
    assert list(rows[0]) == ["epoch", "lr", "loss", "task", "low", "high", "valid_uar", "c_clean", "c_noisy"]
    assert best["epoch"] == best_epoch(last["history"]) and best["classes"] == list(CLASSES)
    assert (best["system"], best["fold"], best["seed"]) == ("trnet", 1, 1)
    for row in last["history"]:
        assert row["loss"] == pytest.approx(row["task"] + 0.5 * row["low"] + 0.5 * row["high"], rel=1e-5)  # Eq. 8
        assert row["low"] >= 0 and row["high"] > 0
        assert 0 <= row["c_clean"] <= 1 and 0 <= row["c_noisy"] <= 1
    _, teacher, table = outcome(trained, "baseline_c")
    assert all("low" not in row and "high" not in row and row["c_clean"] is None for row in teacher["history"])
    assert {(row["low"], row["high"]) for row in csv.DictReader(table.open())} == {("0.0", "0.0")}
    # of 10 runs with 5 seeds the least fell by 0.2
    assert teacher["history"][2]["loss"] < teacher["history"][0]["loss"] - 0.05


def test_a_checkpoint_says_what_it_was_trained_with(trained):
    best, last, _ = outcome(trained, "trnet")
    assert best["trained_with"] == last["trained_with"] == [f"{commit()} on {machine(trained.device)}"]
    assert f"torch {torch.__version__.partition('+')[0]}" in best["versions"]
    assert best["config"] == trained.experiment.config.plain()


@pytest.mark.parametrize("method", ["train_epoch", "_save", "validate"])
def test_a_run_stopped_in_its_second_epoch_goes_on_to_the_very_same_end(
    tiny, trained, tmp_path, monkeypatch, method, partials
):
    """Dropout, Adam and the plateau schedule included; stopped before, in and at the end of epoch 2."""
    session = with_teacher(tiny, trained, tmp_path)
    stop_at(monkeypatch, method, 2)
    with pytest.raises(Stopped):
        train(session, "trnet")
    monkeypatch.undo()
    assert not partials(tmp_path) and not is_finished(session, "trnet")
    assert len(history(session, "trnet")) == 1
    train(session, "trnet")
    assert same_outcome(outcome(session, "trnet"), outcome(trained, "trnet"))


@pytest.mark.parametrize("stop", [None, 3])
def test_the_learning_rate_is_cut_after_the_plateau_also_where_a_run_went_on(tiny, tmp_path, monkeypatch, stop):
    """The UAR never rises after epoch 1; more than one such epoch, so after the third, cuts the rate to a tenth."""
    with_scores(monkeypatch, [30.0] * 4)
    session = tiny.session(tmp_path, max_epochs=4)
    if stop:
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            stop_at(patch, "train_epoch", stop)
            train(session, "baseline_c")
    train(session, "baseline_c")
    rates = [row["lr"] for row in history(session, "baseline_c")]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.001])


def test_a_run_stopped_between_its_two_checkpoints_goes_on_to_the_very_same_end(tiny, trained, tmp_path, monkeypatch):
    """best.pt of an epoch is there, last.pt is not yet."""
    session = with_teacher(tiny, trained, tmp_path)
    whole, saved = trainer.save_checkpoint, []

    def save(path, state):
        saved.append(path.name)
        if saved.count("last.pt") == 2:
            raise Stopped
        whole(path, state)

    monkeypatch.setattr(trainer, "save_checkpoint", save)
    with pytest.raises(Stopped):
        train(session, "trnet")
    monkeypatch.undo()
    train(session, "trnet")
    assert same_outcome(outcome(session, "trnet"), outcome(trained, "trnet"))


@pytest.mark.parametrize("name", [".best.pt.1", "last.pt", "history.csv"])
def test_a_full_disk_leaves_no_half_checkpoint_and_the_run_goes_on(
    tiny, trained, tmp_path, monkeypatch, disk_full, partials, name
):
    session = tiny.session(tmp_path)
    folder = run_of(session, "baseline_c").folder
    whole, saves = Trainer._save, []

    def save(self, run):
        saves.append(1)
        if len(saves) == 1:
            disk_full(folder / name)
        whole(self, run)

    monkeypatch.setattr(Trainer, "_save", save)
    with pytest.raises(OSError):
        train(session, "baseline_c")
    assert not (folder / name).exists() and not partials(folder)
    train(session, "baseline_c")
    assert same_outcome(outcome(session, "baseline_c"), outcome(trained, "baseline_c"))


def test_a_finished_run_is_not_trained_again(trained, monkeypatch, capsys):
    stop_at(monkeypatch, "train_epoch", 1)
    train(trained, "trnet")
    assert "up to date" in capsys.readouterr().out


def test_more_epochs_go_on_where_fewer_ended_and_fewer_are_those_of_a_short_run(tiny, trained, tmp_path):
    """A run of three epochs cannot stand for one of two: the third may have been chosen."""
    short = tiny.session(tmp_path, max_epochs=2)
    train(short, "baseline_c")
    before = outcome(short, "baseline_c")
    assert len(before[1]["history"]) == 2
    more = tiny.session(tmp_path)
    assert not is_finished(more, "baseline_c")
    train(more, "baseline_c")
    assert same_outcome(outcome(more, "baseline_c"), outcome(trained, "baseline_c"))
    table = before[2].read_text()
    assert not is_finished(short, "baseline_c")
    train(short, "baseline_c")
    after = outcome(short, "baseline_c")
    assert same_weights(after[0]["model"], before[0]["model"]) and same_weights(after[1]["model"], before[1]["model"])
    assert after[1]["history"] == before[1]["history"] and table.splitlines()[:3] == after[2].read_text().splitlines()


def test_patience_says_where_a_run_ends_not_how_it_goes(tiny, tmp_path, monkeypatch):
    uars = [30.0, 20.0, 40.0, 40.0, 10.0]
    with_scores(monkeypatch, uars)
    impatient = tiny.session(tmp_path, max_epochs=9, patience=1)
    train(impatient, "baseline_c")
    short = history(impatient, "baseline_c")
    assert [row["valid_uar"] for row in short] == uars[:2]  # one epoch after the last rise
    patient = tiny.session(tmp_path, max_epochs=3)
    assert not is_finished(patient, "baseline_c")
    train(patient, "baseline_c")
    long = history(patient, "baseline_c")
    assert long[:2] == short and [row["valid_uar"] for row in long] == uars[:3]  # went on
    assert not is_finished(impatient, "baseline_c")  # it would have ended before


def test_another_seed_is_another_run(tiny, trained, tmp_path):
    session = tiny.session(tmp_path, max_epochs=1)
    for seed in (1, 2):
        train(session, "baseline_c", seed=seed)
    first, second = (outcome(session, "baseline_c", seed=seed)[1] for seed in (1, 2))
    assert not same_weights(first["model"], second["model"])
    assert first["history"] == history(trained, "baseline_c")[:1]


def test_best_pt_is_the_epoch_of_the_first_maximum_whatever_the_loss(tiny, tmp_path, monkeypatch):
    session, weights = tiny.session(tmp_path, max_epochs=4), []
    with_scores(monkeypatch, [30.0, 60.0, 60.0, 45.0])
    whole = SERJob.validate

    def validate(self, run, epoch):
        weights.append({key: value.clone() for key, value in self.model.state_dict().items()})
        return whole(self, run, epoch)

    monkeypatch.setattr(SERJob, "validate", validate)
    train(session, "baseline_c")
    best = outcome(session, "baseline_c")[0]
    assert best["epoch"] == 2 and same_weights(best["model"], weights[1])


def shared(session, name: str, seed: int = 1):
    """The group of folds 1 and 2, whose speakers S1F and S1M are held out together."""
    experiment = session.experiment
    (group,) = experiment.groups(experiment.runs([name], experiment.dataset.folds[:2], [seed]))
    assert [run.fold.draws for run in group] == ["S1F", "S1F"]
    return group


@pytest.fixture(scope="module")
def together(tiny, tmp_path_factory):
    """Folds 1 and 2 of baseline_n trained on one trajectory; not to be changed."""
    session = tiny.session(tmp_path_factory.mktemp("together"), plateau_patience=0)
    session.train_group(shared(session, "baseline_n"))
    return session


def test_folds_that_share_a_trajectory_get_the_bits_they_get_alone(tiny, together, tmp_path):
    alone = tiny.session(tmp_path, plateau_patience=0)
    for fold in (1, 2):
        train(alone, "baseline_n", fold)
        assert same_outcome(outcome(alone, "baseline_n", fold), outcome(together, "baseline_n", fold))
        assert is_finished(together, "baseline_n", fold)
    (first, second) = (outcome(together, "baseline_n", fold)[1] for fold in (1, 2))
    assert same_weights(first["model"], second["model"])  # one trajectory, validated on two speakers
    assert [row["loss"] for row in first["history"]] == [row["loss"] for row in second["history"]]


@pytest.mark.parametrize(("method", "call"), [("_save", 2), ("_save", 4), ("train_epoch", 2), ("validate", 6)])
def test_a_shared_trajectory_stopped_anywhere_goes_on_to_the_very_same_end(
    tiny, together, tmp_path, monkeypatch, method, call
):
    """Also where one of its folds has an epoch that the other lacks."""
    session = tiny.session(tmp_path, plateau_patience=0)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, method, call)
        session.train_group(shared(session, "baseline_n"))
    session.train_group(shared(session, "baseline_n"))
    for fold in (1, 2):
        assert same_outcome(outcome(session, "baseline_n", fold), outcome(together, "baseline_n", fold))


def test_a_fold_whose_patience_ends_leaves_the_trajectory_to_the_others(tiny, tmp_path, monkeypatch):
    with_scores(monkeypatch, {1: [50.0, 40.0, 30.0], 2: [10.0, 20.0, 30.0, 40.0]})
    session = tiny.session(tmp_path, plateau_patience=0, patience=1, max_epochs=4)
    session.train_group(shared(session, "baseline_n"))
    assert [len(history(session, "baseline_n", fold)) for fold in (1, 2)] == [2, 4]


def test_an_epoch_that_does_not_fit_the_device_begins_again_with_half_the_features_there(
    tiny, trained, tmp_path, monkeypatch, capsys
):
    session, whole, calls = tiny.session(tmp_path), SERJob.step, []

    def step(*args):
        calls.append(1)
        if len(calls) == 6:  # in epoch 2
            raise torch.OutOfMemoryError
        return whole(*args)

    monkeypatch.setattr(SERJob, "step", step)
    rooms, room = [], SERJob.make_room
    monkeypatch.setattr(SERJob, "make_room", lambda job: rooms.append(room(job)) or rooms[-1])
    train(session, "baseline_c")
    assert "out of GPU memory in epoch 2" in capsys.readouterr().out
    assert rooms == ["half of the features"]
    assert same_outcome(outcome(session, "baseline_c"), outcome(trained, "baseline_c"))


def test_a_device_with_nothing_left_to_give_back_is_named(tiny, tmp_path, monkeypatch):
    def step(*_args):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(SERJob, "step", step)
    with pytest.raises(TrnetError, match=r"baseline_c fold 1 seed 1: .*memory.*training.batch_size"):
        train(tiny.session(tmp_path), "baseline_c")


@pytest.mark.parametrize("every", [1, 3, 50])
def test_means_are_weighed_and_the_same_however_seldom_the_losses_are_looked_at(every):
    means = LossMeans("job", torch.device("cpu"))
    means.every = every
    for weight, value in ((1.0, 2.0), (3.0, 4.0), (4.0, 8.0)):
        means.add(
            Step(None, lambda: ["utt"], weight, 1.0), {"loss": torch.tensor(value), "task": torch.tensor(2 * value)}
        )
    assert means.means() == {"loss": (2 + 12 + 32) / 8, "task": (2 + 12 + 32) / 4}
    with pytest.raises(TrnetError, match=r"job: .*not finite.* u0 u1 .*u7 \.\.\.") as caught:
        means.add(Step(None, lambda: [f"u{i}" for i in range(9)], 1.0, 1.0), {"loss": torch.tensor(math.nan)})
        means.look()
    assert "u8" not in str(caught.value)


@pytest.mark.parametrize("stop", [False, True])
def test_the_average_of_the_weights_is_what_is_validated_and_kept(tiny, tmp_path, monkeypatch, stop):
    """By hand: after each step average = 0.9 average + 0.1 weights, from the first step's weights on."""
    steps, whole = [], SERJob.step

    def step(self, batch):
        losses = whole(self, batch)
        steps.append({key: value.clone() for key, value in self.model.state_dict().items()})
        return losses

    session = tiny.session(tmp_path, ema=0.9, max_epochs=2)
    with_scores(monkeypatch, [30.0, 40.0])
    with monkeypatch.context() as patch:
        patch.setattr(SERJob, "step", step)
        if stop:
            with monkeypatch.context() as inner, pytest.raises(Stopped):
                stop_at(inner, "train_epoch", 2)
                train(session, "baseline_n")
        train(session, "baseline_n")
    best, last, _ = outcome(session, "baseline_n")
    name = "encoder.blocks.0.conv.weight"
    average = steps[0][name]
    for weights in steps[1:]:
        average = 0.9 * average + 0.1 * weights[name]
    assert best["epoch"] == 2
    assert_near(best["model"][name], average)
    assert torch.equal(last["model"][name], steps[-1][name])
    assert not torch.allclose(best["model"][name], steps[-1][name])
