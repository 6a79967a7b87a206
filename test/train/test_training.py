"""Training on the tiny corpus: repeatable, resumable, blind to the test speaker; the teacher stands still."""

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny import CLASSES, SETS, SPEAKERS

from trnet.bin import enhance, make_fbank
from trnet.conditions import CLEAN
from trnet.errors import TrnetError
from trnet.experiment import Experiment
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.provenance import commit, machine
from trnet.train import decode as decoding
from trnet.train import loop
from trnet.train.checkpoint import load_checkpoint
from trnet.train.data import Archives
from trnet.train.forward import make_model
from trnet.train.loop import best_epoch, is_finished


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """An experiment whose teacher and trnet of fold 1 and seed 1 are trained; not to be changed."""
    experiment = tiny.experiment(tmp_path_factory.mktemp("exp"))
    fold = experiment.folds[0]
    experiment.train("baseline_c", fold, 1)
    experiment.train("trnet", fold, 1)
    return experiment


def with_teacher(tiny, trained, exp, **training):
    """A new experiment that has the trained teacher of fold 1 and seed 1."""
    experiment = tiny.experiment(exp, **training)
    fold = trained.folds[0]
    shutil.copytree(trained.run_folder("baseline_c", fold, 1), experiment.run_folder("baseline_c", fold, 1))
    return experiment


def outcome(experiment, name, seed=1):
    """best.pt, last.pt and history.csv of fold 1."""
    folder = experiment.run_folder(name, experiment.folds[0], seed)
    return load_checkpoint(folder / "best.pt"), load_checkpoint(folder / "last.pt"), folder / "history.csv"


def same_weights(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def same_outcome(first, second) -> bool:
    """To the bit."""
    return (
        same_weights(first[0]["model"], second[0]["model"])
        and same_weights(first[1]["model"], second[1]["model"])
        and first[0]["epoch"] == second[0]["epoch"]
        and first[1]["history"] == second[1]["history"]
        and first[2].read_text() == second[2].read_text()
    )


class Stopped(KeyboardInterrupt):
    """Ctrl-C."""


def stop_at(monkeypatch, method: str, call: int) -> None:
    """Press Ctrl-C at that call (from 1) of a method of Run."""
    whole, calls = getattr(loop.Run, method), []

    def counted(self, *args, **options):
        calls.append(1)
        if len(calls) == call:
            raise Stopped
        return whole(self, *args, **options)

    monkeypatch.setattr(loop.Run, method, counted)


def test_a_run_leaves_the_chosen_epoch_the_last_one_and_its_history(trained):
    best, last, table = outcome(trained, "trnet")
    rows = list(csv.DictReader(table.open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and len(last["history"]) == 3
    assert best["epoch"] == best_epoch(last["history"]) and best["classes"] == list(CLASSES)
    assert (best["system"], best["fold"], best["seed"]) == ("trnet", 1, 1)
    for row in last["history"]:
        assert row["loss"] == pytest.approx(row["task"] + 0.5 * row["low"] + 0.5 * row["high"], rel=1e-5)  # Eq. 8
        assert row["low"] >= 0 and row["high"] > 0
        assert 0 <= row["c_clean"] <= 1 and 0 <= row["c_noisy"] <= 1
    _, teacher, _ = outcome(trained, "baseline_c")
    assert all(row["low"] == row["high"] == 0 and row["c_clean"] is None for row in teacher["history"])
    assert teacher["history"][2]["loss"] < teacher["history"][0]["loss"]


@pytest.mark.parametrize(("name", "method"), [("trnet", "_train_epoch"), ("trnet", "_save"), ("trnet", "_validate")])
def test_a_run_stopped_in_its_second_epoch_goes_on_to_the_very_same_end(
    tiny, trained, tmp_path, monkeypatch, name, method, partials
):
    """Dropout, Adam and the plateau schedule included; stopped before, in and at the end of epoch 2."""
    experiment, fold = with_teacher(tiny, trained, tmp_path), trained.folds[0]
    stop_at(monkeypatch, method, 2)
    with pytest.raises(Stopped):
        experiment.train(name, fold, 1)
    monkeypatch.undo()
    assert not partials(tmp_path) and not experiment.trained(name, fold, 1)
    assert len(outcome(experiment, name)[1]["history"]) == 1
    experiment.train(name, fold, 1)
    assert same_outcome(outcome(experiment, name), outcome(trained, name))


@pytest.mark.parametrize("stop", [None, 3])
def test_the_learning_rate_is_cut_after_the_plateau_also_where_a_run_went_on(tiny, tmp_path, monkeypatch, stop):
    """The UAR never rises after epoch 1; more than one such epoch, so after the third, cuts the rate to a tenth."""
    whole = loop.Run._validate
    monkeypatch.setattr(loop.Run, "_validate", lambda *args: whole(*args) | {"valid_uar": 30.0})
    experiment = tiny.experiment(tmp_path, max_epochs=4)
    fold = experiment.folds[0]
    if stop:
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            stop_at(patch, "_train_epoch", stop)
            experiment.train("baseline_c", fold, 1)
    experiment.train("baseline_c", fold, 1)
    rates = [row["lr"] for row in outcome(experiment, "baseline_c")[1]["history"]]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.001])


def test_a_run_stopped_between_its_two_checkpoints_goes_on_to_the_very_same_end(tiny, trained, tmp_path, monkeypatch):
    """best.pt of an epoch is there, last.pt is not yet."""
    experiment, fold = with_teacher(tiny, trained, tmp_path), trained.folds[0]
    whole, saved = loop.save_checkpoint, []

    def save(path, state):
        saved.append(path.name)
        if saved.count("last.pt") == 2:
            raise Stopped
        whole(path, state)

    monkeypatch.setattr(loop, "save_checkpoint", save)
    with pytest.raises(Stopped):
        experiment.train("trnet", fold, 1)
    monkeypatch.undo()
    experiment.train("trnet", fold, 1)
    assert same_outcome(outcome(experiment, "trnet"), outcome(trained, "trnet"))


@pytest.mark.parametrize("name", ["best.pt", "last.pt", "history.csv"])
def test_a_full_disk_leaves_no_half_checkpoint_and_the_run_goes_on(
    tiny, trained, tmp_path, monkeypatch, disk_full, partials, name
):
    experiment, fold = with_teacher(tiny, trained, tmp_path), trained.folds[0]
    folder = experiment.run_folder("trnet", fold, 1)
    whole, saves = loop.Run._save, []

    def save(self, improved):
        saves.append(1)
        if len(saves) == 1:
            disk_full(folder / name)
        whole(self, improved)

    monkeypatch.setattr(loop.Run, "_save", save)
    with pytest.raises(OSError):
        experiment.train("trnet", fold, 1)
    assert not (folder / name).exists() and not partials(folder)
    experiment.train("trnet", fold, 1)
    assert same_outcome(outcome(experiment, "trnet"), outcome(trained, "trnet"))


def test_a_finished_run_is_not_trained_again(trained, monkeypatch, capsys):
    stop_at(monkeypatch, "_train_epoch", 1)
    trained.train("trnet", trained.folds[0], 1)
    assert "up to date" in capsys.readouterr().out


def test_more_epochs_go_on_where_fewer_ended(tiny, trained, tmp_path):
    experiment, fold = with_teacher(tiny, trained, tmp_path, max_epochs=1), trained.folds[0]
    experiment.train("trnet", fold, 1)
    assert len(outcome(experiment, "trnet")[1]["history"]) == 1
    more = tiny.experiment(tmp_path, max_epochs=3)
    assert not more.trained("trnet", fold, 1)
    more.train("trnet", fold, 1)
    assert same_outcome(outcome(more, "trnet"), outcome(trained, "trnet"))


def test_fewer_epochs_are_those_that_a_short_run_has(tiny, trained, tmp_path):
    """A run of three epochs cannot stand for one of two: the third may have been chosen."""
    fold = trained.folds[0]
    short = with_teacher(tiny, trained, tmp_path / "short", max_epochs=2)
    short.train("trnet", fold, 1)
    again = with_teacher(tiny, trained, tmp_path / "again")
    again.train("trnet", fold, 1)
    again = tiny.experiment(tmp_path / "again", max_epochs=2)
    assert not again.trained("trnet", fold, 1)
    again.train("trnet", fold, 1)
    assert same_outcome(outcome(again, "trnet"), outcome(short, "trnet"))


def test_patience_says_where_a_run_ends_not_how_it_goes(tiny, trained, tmp_path):
    uars = [row["valid_uar"] for row in outcome(trained, "baseline_c")[1]["history"]]
    fold, seed = trained.folds[0], 1
    impatient = tiny.experiment(tmp_path, max_epochs=9, patience=1)
    impatient.train("baseline_c", fold, seed)
    short = outcome(impatient, "baseline_c")[1]["history"]
    rises = [i for i in range(1, len(short)) if short[i]["valid_uar"] > max(r["valid_uar"] for r in short[:i])]
    assert len(short) == (rises[-1] if rises else 0) + 2  # one epoch after the last rise
    patient = tiny.experiment(tmp_path, max_epochs=len(short) + 1)
    assert not patient.trained("baseline_c", fold, seed)
    patient.train("baseline_c", fold, seed)
    long = outcome(patient, "baseline_c")[1]["history"]
    assert long[: len(short)] == short and len(long) == len(short) + 1  # went on
    assert [row["valid_uar"] for row in long][:3] == uars[: len(long)][:3]
    assert not impatient.trained("baseline_c", fold, seed)  # it would have ended before


def test_features_made_again_from_moved_audio_do_not_train_anew(tiny, trained, tmp_path):
    """Runs hang on the features themselves, not on where the audio lay or how its folder was checked."""
    root = tmp_path / "elsewhere"
    for name in SETS:
        shutil.copytree(tiny.root / "data" / name, root / "data" / name)
        table = root / "data" / name / "wav.scp"
        table.write_text(table.read_text().replace(str(tiny.root / "data"), str(root / "data")))
    shutil.copytree(tiny.root / "data/downloads", root / "data/downloads")
    sets = ["--sets", " ".join(str(root / "data" / name) for name in SETS), "--dump", str(root / "dump")]
    config = ["--config", str(tiny.config_path)]
    assert enhance.main([*config, *sets]) == make_fbank.main([*config, *sets]) == 0
    shutil.copytree(trained.exp, tmp_path / "exp")
    moved = Experiment(trained.config, DataDir(root / "data/tiny"), root / "dump", tmp_path / "exp", trained.device)
    assert moved.trained("baseline_c", moved.folds[0], 1) and moved.trained("trnet", moved.folds[0], 1)


def test_features_of_another_front_end_under_the_same_name_are_refused(tiny, trained, tmp_path):
    dump = tmp_path / "dump"
    shutil.copytree(tiny.dump, dump)
    stamp = dump / "none/tiny_esc_0db/.enhance.json"
    stamp.write_text(stamp.read_text().replace('"revision": 1', '"revision": 0'))
    experiment = tiny.experiment(tmp_path / "exp", dump)
    with pytest.raises(TrnetError, match=r"tiny_esc_0db: was enhanced by another front-end .*\(other revision\)"):
        experiment.train("baseline_e", experiment.folds[0], 1)


def test_a_checkpoint_says_what_it_was_trained_with(trained):
    best, last, _ = outcome(trained, "trnet")
    assert best["trained_with"] == last["trained_with"] == [f"{commit()} on {machine(trained.device)}"]
    assert f"torch {torch.__version__.partition('+')[0]}" in best["versions"]


def test_another_seed_is_another_run(tiny, trained, tmp_path):
    experiment, fold = tiny.experiment(tmp_path, max_epochs=1), trained.folds[0]
    for seed in (1, 2):
        experiment.train("baseline_c", fold, seed)
    first, second = (outcome(experiment, "baseline_c", seed)[1] for seed in (1, 2))
    assert not same_weights(first["model"], second["model"])
    whole = outcome(trained, "baseline_c")[1]
    assert first["history"] == whole["history"][:1]


def test_changed_settings_train_anew_and_say_what_changed(tiny, trained, tmp_path, capsys):
    experiment, fold = with_teacher(tiny, trained, tmp_path, lr=0.02), trained.folds[0]
    assert not experiment.trained("baseline_c", fold, 1)
    experiment.train("baseline_c", fold, 1)
    assert "trained anew, changed: training" in capsys.readouterr().out
    # a changed teacher changes those who learn from it, and nobody else
    assert "teacher" in experiment.stamp("trnet", fold, 1).made_from
    assert "teacher" not in experiment.stamp("trnet_wo_high", fold, 1).made_from


@pytest.mark.parametrize(
    ("uars", "best"),
    [([], 0), ([30], 1), ([30, 40, 40, 35], 2), ([50, 50, 50], 1), ([10, 20, 30], 3)],
)
def test_the_first_epoch_of_the_largest_validation_uar_is_chosen(uars, best):
    assert best_epoch([{"epoch": i, "valid_uar": uar, "loss": -i} for i, uar in enumerate(uars, 1)]) == best


def test_training_ends_at_max_epochs_or_when_patience_is_at_its_end(tiny):
    conf = tiny.config.training
    history = [{"epoch": i, "valid_uar": uar} for i, uar in enumerate([30, 40, 40, 39], 1)]
    assert is_finished(history, replace(conf, max_epochs=4, patience=0))
    assert not is_finished(history, replace(conf, max_epochs=5, patience=0))
    assert is_finished(history, replace(conf, max_epochs=9, patience=2))  # two epochs after epoch 2
    assert not is_finished(history, replace(conf, max_epochs=9, patience=3))


def test_best_pt_is_the_epoch_of_the_first_maximum_whatever_the_loss(tiny, tmp_path, monkeypatch):
    experiment = tiny.experiment(tmp_path, max_epochs=4)
    uars, whole, weights = iter([30.0, 60.0, 60.0, 45.0]), loop.Run._validate, []

    def validate(self, reader, items):
        weights.append({key: value.clone() for key, value in self.model.state_dict().items()})
        return whole(self, reader, items) | {"valid_uar": next(uars)}

    monkeypatch.setattr(loop.Run, "_validate", validate)
    experiment.train("baseline_c", experiment.folds[0], 1)
    best = outcome(experiment, "baseline_c")[0]
    assert best["epoch"] == 2 and same_weights(best["model"], weights[1])


def test_validation_uar_is_the_mean_recall_of_the_validation_speaker(trained):
    """best.pt, decoded one utterance at a time, gives the number in the history."""
    experiment, fold = trained, trained.folds[0]
    best, last, _ = outcome(trained, "baseline_c")
    model = make_model(experiment.config, experiment.config.system("baseline_c"), 4)
    model.load_state_dict(best["model"])
    model.eval()
    right = dict.fromkeys(CLASSES, 0)
    for utt in fold.valid:
        x = torch.from_numpy(experiment.archives.matrix("noisy", utt, CLEAN).copy())
        with torch.inference_mode():
            pred = CLASSES[model(x[None], torch.tensor([len(x)])).logits.argmax().item()]
        right[utt[4:7]] += pred == utt[4:7]
    assert last["history"][best["epoch"] - 1]["valid_uar"] == pytest.approx(sum(right.values()) / 2 / 4 * 100)


def read_during(monkeypatch, work) -> set[tuple[str, str, str]]:
    """(kind, utterance, condition) of all features that are read while `work` is done."""
    whole, read = Archives.matrix, set()

    def matrix(self, kind, utt, condition):
        read.add((kind, utt, condition.name))
        return whole(self, kind, utt, condition)

    monkeypatch.setattr(Archives, "matrix", matrix)
    work()
    return read


@pytest.mark.parametrize("how", ["draw", "all"])
def test_no_system_reads_a_test_utterance_or_a_condition_that_is_not_its_own(tiny, tmp_path, monkeypatch, how):
    experiment = tiny.experiment(tmp_path, max_epochs=1, train_conditions=how, valid_conditions=how)
    fold = experiment.folds[2]  # S2F tests, S2M validates
    assert (fold.test_speaker, fold.valid_speaker) == ("S2F", "S2M")
    everything = {"clean", "esc_10db", "esc_0db"}
    for name, kinds in {"baseline_c": {"noisy"}, "baseline_e": {"enhanced"}, "trnet": {"noisy", "enhanced"}}.items():
        with monkeypatch.context() as patch:
            read = read_during(patch, lambda name=name: experiment.train(name, fold, 1))
        assert {utt[:3] for _, utt, _ in read} == set(SPEAKERS) - {"S2F"}
        assert {kind for kind, _, _ in read} == kinds
        assert {condition for _, _, condition in read} == ({"clean"} if name == "baseline_c" else everything)
        if how == "all" and name == "baseline_e":
            wanted = {(u, c) for u in fold.train + fold.valid for c in everything}
            assert {(u, c) for _, u, c in read} == wanted


def test_features_of_the_test_speaker_need_not_be_there(tiny, trained, tmp_path):
    """The same weights to the bit without them: nothing was looked at."""
    fold, dump = trained.folds[0], tmp_path / "dump"
    shutil.copytree(tiny.dump, dump, ignore=shutil.ignore_patterns("wav"))
    for table in [*dump.rglob("feats.scp"), *dump.rglob("utt2num_frames")]:
        lines = table.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(fold.test_speaker)]
        assert 0 < len(kept) < len(lines)
        table.write_text("".join(kept))
    experiment = tiny.experiment(tmp_path / "exp", dump)
    for name in ("baseline_c", "trnet"):
        experiment.train(name, fold, 1)
        assert same_outcome(outcome(experiment, name), outcome(trained, name))


def test_h_s_is_what_the_teacher_makes_of_the_clean_speech(trained):
    experiment, fold = trained, trained.folds[0]
    h_s = experiment._h_s(fold, 1)
    assert sorted(h_s) == list(fold.train)
    teacher = make_model(experiment.config, experiment.config.system("baseline_c"), 4)
    teacher.load_state_dict(outcome(trained, "baseline_c")[0]["model"])
    teacher.eval()
    for utt in fold.train[::5]:
        x = torch.from_numpy(experiment.archives.matrix("noisy", utt, CLEAN).copy())
        with torch.inference_mode():
            out = teacher(x[None], torch.tensor([len(x)]))
        assert h_s[utt].dtype == torch.float32 and not h_s[utt].requires_grad
        assert torch.allclose(h_s[utt], out.h[0], atol=1e-5)


def test_teacher_and_front_end_stand_still_while_trnet_trains(tiny, trained, tmp_path):
    experiment, fold = with_teacher(tiny, trained, tmp_path, max_epochs=1), trained.folds[0]
    teacher = experiment.run_folder("baseline_c", fold, 1)
    before = {path.name: path.read_bytes() for path in teacher.iterdir()}
    frontend = {"frontend": "gtcrn", "frontend_conf": {"init": "random"}}
    enhancer = build_frontend(frontend)
    print_before = enhancer.fingerprint()
    experiment.train("trnet", fold, 1)
    assert before == {path.name: path.read_bytes() for path in teacher.iterdir()}
    enhancer.train()
    enhancer.enhance(torch.randn(2, 4000) * 0.1)
    assert enhancer.fingerprint() == print_before
    assert not any(parameter.requires_grad for parameter in enhancer.parameters())
    # nor is either among what trnet trains
    names = outcome(experiment, "trnet")[0]["model"]
    assert {name.split(".")[0] for name in names} == {"gate", "ser", "bridge"}


def test_without_its_teacher_trnet_does_not_train_but_trnet_wo_high_does(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path, max_epochs=1)
    fold = experiment.folds[0]
    with pytest.raises(TrnetError, match="no teacher for fold 1, seed 1 that is trained to its end"):
        experiment.train("trnet", fold, 1)
    experiment.train("trnet_wo_high", fold, 1)
    _, last, _ = outcome(experiment, "trnet_wo_high")
    assert last["history"][0]["high"] == 0 and last["history"][0]["low"] >= 0


def test_without_l_low_the_target_is_not_read_and_c_has_no_direct_loss(tiny, trained, tmp_path):
    experiment, fold = with_teacher(tiny, trained, tmp_path, max_epochs=1), trained.folds[0]
    experiment.train("trnet_wo_low", fold, 1)
    row = outcome(experiment, "trnet_wo_low")[1]["history"][0]
    assert row["low"] == 0 and row["high"] > 0
    assert row["loss"] == pytest.approx(row["task"] + 0.5 * row["high"], rel=1e-5)


def test_bf16_trains_with_float32_weights_and_c(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path, max_epochs=1, precision="bf16")
    experiment.train("trnet_wo_high", experiment.folds[0], 1)
    best, last, _ = outcome(experiment, "trnet_wo_high")
    assert all(v.dtype in (torch.float32, torch.int64) for v in best["model"].values())
    assert np.isfinite(last["history"][0]["loss"])


def broken_dump(tiny, root: Path, utt: str, change) -> Path:
    """A copy of the features in which those of one clean utterance are changed."""
    dump = root / "dump"
    shutil.copytree(tiny.dump, dump, ignore=shutil.ignore_patterns("wav"))
    folder = dump / "raw" / "tiny"
    matrices = {key: np.array(value) for key, value in kaldiio.load_scp(str(folder / "feats.scp")).items()}
    matrices[utt] = change(matrices[utt])
    kaldiio.save_ark(str(folder / "feats.ark"), matrices, scp=str(folder / "feats.scp"))
    return dump


def test_features_that_are_not_finite_stop_training_with_the_utterances(tiny, tmp_path):
    def change(matrix):
        matrix[3, 4] = np.nan
        return matrix

    dump = broken_dump(tiny, tmp_path, "S3M-sad_1", change)
    experiment = tiny.experiment(tmp_path / "exp", dump)
    with pytest.raises(TrnetError, match=r"baseline_c fold 1: .*not finite.*S3M-sad_1\(clean\)"):
        experiment.train("baseline_c", experiment.folds[0], 1)


def test_the_error_for_a_loss_that_is_not_finite_names_all_its_utterances_or_counts_them(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path, lr=1e30)
    with pytest.raises(TrnetError, match="loss is not finite on S.*lower training.lr"):
        experiment.train("baseline_c", experiment.folds[0], 1)


def test_enhanced_features_of_another_length_are_refused(tiny, tmp_path):
    dump = broken_dump(tiny, tmp_path, "S3M-sad_1", lambda matrix: matrix[:-1])
    experiment = tiny.experiment(tmp_path / "exp", dump, train_conditions="all")
    with pytest.raises(TrnetError, match="S3M-sad_1: .* frames for .*run stages 2 to 4 again"):
        experiment.train("trnet_wo_high", experiment.folds[0], 1)


def test_a_damaged_last_pt_is_refused_when_the_run_goes_on(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path, max_epochs=1)
    fold = experiment.folds[0]
    experiment.train("baseline_c", fold, 1)
    last = experiment.run_folder("baseline_c", fold, 1) / "last.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    with pytest.raises(TrnetError, match="last.pt: is no readable checkpoint"):
        tiny.experiment(tmp_path, max_epochs=2).train("baseline_c", fold, 1)


def test_a_last_pt_of_another_model_is_refused_by_key(tiny, trained, tmp_path):
    experiment, fold = with_teacher(tiny, trained, tmp_path), trained.folds[0]
    other, own = (experiment.run_folder(name, fold, 1) for name in ("trnet_wo_high", "baseline_c"))
    experiment = tiny.experiment(tmp_path, max_epochs=1)
    experiment.train("trnet_wo_high", fold, 1)
    stamp = experiment.stamp("baseline_c", fold, 1)
    shutil.copy(other / "last.pt", own / "last.pt")
    stamp.begin()
    with pytest.raises(TrnetError, match="another model .*missing encoder.blocks.0.conv.weight"):
        experiment.train("baseline_c", fold, 1)


def test_a_run_whose_last_pt_was_removed_is_still_trained_or_trained_anew(tiny, tmp_path):
    """last.pt is for going on; a user may delete it to save room."""
    experiment = tiny.experiment(tmp_path, max_epochs=1)
    fold = experiment.folds[0]
    experiment.train("baseline_c", fold, 1)
    (experiment.run_folder("baseline_c", fold, 1) / "last.pt").unlink()
    experiment.train("baseline_c", fold, 1)
    assert (experiment.run_folder("baseline_c", fold, 1) / "best.pt").exists()


def test_missing_features_are_named(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path, dump=tmp_path / "nothing")
    with pytest.raises(TrnetError, match="raw/tiny: has no features; run stages 2 to 4"):
        experiment.train("baseline_c", experiment.folds[0], 1)


def test_no_system_is_trained_on_the_unmatched_noise(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path)
    for name, system in experiment.config.systems.items():
        noises = {condition.noise for condition in experiment.conditions(system)}
        assert noises == ({None} if name == "baseline_c" else {None, "esc"})


def test_systems_that_hear_no_front_end_are_shared_and_linked(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path)
    fold = experiment.folds[0]
    assert experiment.run_folder("baseline_c", fold, 2) == tmp_path / "raw/baseline_c/fold1_seed2"
    assert experiment.run_folder("baseline_n", fold, 1).parts[-3:] == ("raw", "baseline_n", "fold1_seed1")
    assert experiment.run_folder("trnet", fold, 1) == tmp_path / "none/trnet/fold1_seed1"
    other = replace(experiment, config=replace(experiment.config, frontend="gtcrn"))
    assert other.stamp("baseline_n", fold, 1).made_from == experiment.stamp("baseline_n", fold, 1).made_from


def test_decoding_leaves_no_trace_in_the_model(trained):
    """Validation in mid-training: weights and BatchNorm statistics as before, no gradient."""
    experiment, fold = trained, trained.folds[0]
    system = experiment.config.system("baseline_c")
    model = make_model(experiment.config, system, 4).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    reader = loop.BatchReader(experiment.archives, experiment.labels, ["noisy"])
    items = [(utt, CLEAN) for utt in fold.valid]
    answers = decoding.decode(model, system, reader, items, experiment.length, 3, torch.device("cpu"))
    assert same_weights(model.state_dict(), before) and set(answers) == set(items)
    assert all(answer.probs.sum() == pytest.approx(1) and answer.c is None for answer in answers.values())


def test_the_stamp_says_what_a_run_was_made_from(trained):
    folder = trained.run_folder("trnet", trained.folds[0], 1)
    made_from = json.loads((folder / ".train.json").read_text())["made_from"]
    assert {"raw/tiny", "none/tiny", "raw/tiny_esc_0db", "none/tiny_esc_10db"} <= set(made_from["features"])
    assert "max_epochs" not in made_from["training"] and made_from["seed"] == 1
