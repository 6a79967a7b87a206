"""Training on the tiny corpus: repeatable, resumable, blind to the test speaker; the teacher stands still."""

import contextlib
import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from near import assert_near
from tiny import CLASSES, SETS, SPEAKERS, change_features
from torch.utils._python_dispatch import TorchDispatchMode
from trnet.train.forward import make_model

from trnet.bin import enhance, make_fbank, train
from trnet.conditions import CLEAN
from trnet.features.cache import FeatureStore
from trnet.frontend import build_frontend
from trnet.kaldi.data_dir import DataDir
from trnet.runs.checkpoint import load_checkpoint
from trnet.runs.experiment import Experiment, Group
from trnet.runs.history import best_epoch, is_finished
from trnet.train import inference as decoding
from trnet.train import loop
from trnet.train import run as running
from trnet.train.batches import BatchReader
from trnet.utils.errors import TrnetError
from trnet.utils.provenance import commit, machine

pytestmark = pytest.mark.slow  # the module as a whole


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
    """Press Ctrl-C at that call (from 1) of a method of Trajectory or Run."""
    owner = loop.Trajectory if hasattr(loop.Trajectory, method) else running.Run
    whole, calls = getattr(owner, method), []

    def counted(self, *args, **options):
        calls.append(1)
        if len(calls) == call:
            raise Stopped
        return whole(self, *args, **options)

    monkeypatch.setattr(owner, method, counted)


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
    # of 10 runs with 5 seeds the least fell by 0.2
    assert teacher["history"][2]["loss"] < teacher["history"][0]["loss"] - 0.05


@pytest.mark.parametrize(("name", "method"), [("trnet", "train_epoch"), ("trnet", "save"), ("trnet", "validate")])
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
    whole = running.Run.validate
    monkeypatch.setattr(running.Run, "validate", lambda *args: whole(*args) | {"valid_uar": 30.0})
    experiment = tiny.experiment(tmp_path, max_epochs=4)
    fold = experiment.folds[0]
    if stop:
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            stop_at(patch, "train_epoch", stop)
            experiment.train("baseline_c", fold, 1)
    experiment.train("baseline_c", fold, 1)
    rates = [row["lr"] for row in outcome(experiment, "baseline_c")[1]["history"]]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.001])


def test_a_run_stopped_between_its_two_checkpoints_goes_on_to_the_very_same_end(tiny, trained, tmp_path, monkeypatch):
    """best.pt of an epoch is there, last.pt is not yet."""
    experiment, fold = with_teacher(tiny, trained, tmp_path), trained.folds[0]
    whole, saved = running.save_checkpoint, []

    def save(path, state):
        saved.append(path.name)
        if saved.count("last.pt") == 2:
            raise Stopped
        whole(path, state)

    monkeypatch.setattr(running, "save_checkpoint", save)
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
    whole, saves = running.Run.save, []

    def save(self, kept, state):
        saves.append(1)
        if len(saves) == 1:
            disk_full(folder / name)
        whole(self, kept, state)

    monkeypatch.setattr(running.Run, "save", save)
    with pytest.raises(OSError):
        experiment.train("trnet", fold, 1)
    assert not (folder / name).exists() and not partials(folder)
    experiment.train("trnet", fold, 1)
    assert same_outcome(outcome(experiment, "trnet"), outcome(trained, "trnet"))


def test_a_finished_run_is_not_trained_again(trained, monkeypatch, capsys):
    stop_at(monkeypatch, "train_epoch", 1)
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


def test_patience_says_where_a_run_ends_not_how_it_goes(tiny, trained, tmp_path, monkeypatch):
    uars = [30.0, 20.0, 40.0, 40.0, 10.0]
    whole = running.Run.validate
    monkeypatch.setattr(
        running.Run, "validate", lambda run, model: whole(run, model) | {"valid_uar": uars[len(run.history)]}
    )
    fold, seed = trained.folds[0], 1
    impatient = tiny.experiment(tmp_path, max_epochs=9, patience=1)
    impatient.train("baseline_c", fold, seed)
    short = outcome(impatient, "baseline_c")[1]["history"]
    assert [row["valid_uar"] for row in short] == uars[:2]  # one epoch after the last rise
    patient = tiny.experiment(tmp_path, max_epochs=len(short) + 1)
    assert not patient.trained("baseline_c", fold, seed)
    patient.train("baseline_c", fold, seed)
    long = outcome(patient, "baseline_c")[1]["history"]
    assert long[: len(short)] == short and len(long) == len(short) + 1  # went on
    assert [row["valid_uar"] for row in long] == uars[:3]
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
    said = capsys.readouterr().out
    assert "fold1_seed1: changed: training; what was there is kept as fold1_seed1." in said
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
    uars, whole, weights = iter([30.0, 60.0, 60.0, 45.0]), running.Run.validate, []

    def validate(self, model):
        weights.append({key: value.clone() for key, value in model.state_dict().items()})
        return whole(self, model) | {"valid_uar": next(uars)}

    monkeypatch.setattr(running.Run, "validate", validate)
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
    surely, perhaps = 0, 0  # right, whichever of classes that are nearly as likely comes out
    for utt in fold.valid:
        x = torch.from_numpy(experiment.archives.matrix("noisy", utt, CLEAN).copy())
        with torch.inference_mode():
            logits = model(x[None], torch.tensor([len(x)])).logits[0]
        best_ones = {CLASSES[i] for i in (logits > logits.max() - 1e-3).nonzero().flatten().tolist()}
        surely += best_ones == {utt[4:7]}
        perhaps += utt[4:7] in best_ones
    uar = last["history"][best["epoch"] - 1]["valid_uar"]  # 2 utterances of each of 4 classes
    assert 100 / 8 * surely - 1e-6 < uar < 100 / 8 * perhaps + 1e-6


def read_during(monkeypatch, work) -> set[tuple[str, str, str]]:
    """(kind, utterance, condition) of all features that are in a batch while `work` is done."""
    whole, read = FeatureStore.stack, set()

    def stack(self, kind, items):
        read.update((kind, utt, condition.name) for utt, condition in items)
        return whole(self, kind, items)

    monkeypatch.setattr(FeatureStore, "stack", stack)
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
        assert_near(h_s[utt], out.h[0])


def test_teacher_and_front_end_stand_still_while_trnet_trains(tiny, trained, tmp_path):
    experiment, fold = with_teacher(tiny, trained, tmp_path, max_epochs=1), trained.folds[0]
    teacher = experiment.run_folder("baseline_c", fold, 1)
    before = {path.name: path.read_bytes() for path in teacher.iterdir() if path.is_file()}
    frontend = {"frontend": "gtcrn", "frontend_conf": {"init": "random"}}
    enhancer = build_frontend(frontend)
    print_before = enhancer.fingerprint()
    experiment.train("trnet", fold, 1)
    assert before == {path.name: path.read_bytes() for path in teacher.iterdir() if path.is_file()}
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
    change_features(dump / "raw" / "tiny", utt, change)
    return dump


def test_features_that_are_not_finite_stop_training_with_the_utterances(tiny, tmp_path):
    def change(matrix):
        matrix[3, 4] = np.nan
        return matrix

    dump = broken_dump(tiny, tmp_path, "S3M-sad_1", change)
    experiment = tiny.experiment(tmp_path / "exp", dump)
    with pytest.raises(TrnetError, match=r"baseline_c fold 1 seed 1: .*not finite.*S3M-sad_1\(clean\)"):
        experiment.train("baseline_c", experiment.folds[0], 1)


def test_the_error_for_a_loss_that_is_not_finite_names_all_its_utterances_or_counts_them(tiny, tmp_path):
    dump = broken_dump(tiny, tmp_path, "S3M-sad_1", lambda matrix: np.full_like(matrix, np.nan))
    experiment = tiny.experiment(tmp_path / "exp", dump, batch_size=16)
    with pytest.raises(TrnetError, match=r"not finite on S\S+\(clean\)( S\S+\(clean\)){7} \.\.\."):
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


def test_a_part_without_any_of_the_systems_says_so(tiny, tmp_path, capsys):
    runs = [*tiny.folders(), "--exp", str(tmp_path)]
    assert train.main([*runs, "--systems", "baseline_c"]) == 0
    assert "nothing to train, baseline_c is trained by --part teacher" in capsys.readouterr().out
    assert train.main([*runs, "--systems", "baseline_n", "--part", "teacher"]) == 0
    assert "nothing to train, no system needs it" in capsys.readouterr().out


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
    reader = BatchReader(experiment.store, experiment.labels, ["noisy"])
    items = [(utt, CLEAN) for utt in fold.valid]
    answers = decoding.decode(model, system, reader, items, 3)
    assert same_weights(model.state_dict(), before) and set(answers) == set(items)
    assert all(answer.probs.sum() == pytest.approx(1) and answer.c is None for answer in answers.values())


def test_the_stamp_says_what_a_run_was_made_from(trained):
    folder = trained.run_folder("trnet", trained.folds[0], 1)
    made_from = json.loads((folder / ".train.json").read_text())["made_from"]
    assert {"raw/tiny", "none/tiny", "raw/tiny_esc_0db", "none/tiny_esc_10db"} <= set(made_from["features"])
    assert "max_epochs" not in made_from["training"] and made_from["seed"] == 1


def shared(experiment, name: str, seed: int = 1):
    """The group of folds 1 and 2, whose speakers S1F and S1M are held out together."""
    (group,) = experiment.groups([name], experiment.folds[:2], [seed])
    assert [fold.draws for fold in group.folds] == ["S1F", "S1F"]
    return group


@pytest.fixture(scope="module")
def together(tiny, tmp_path_factory):
    """Folds 1 and 2 of baseline_n trained on one trajectory; not to be changed."""
    experiment = tiny.experiment(tmp_path_factory.mktemp("together"), plateau_patience=0)
    experiment.train_group(shared(experiment, "baseline_n"))
    return experiment


def of_fold(experiment, fold, name="baseline_n"):
    folder = experiment.run_folder(name, fold, 1)
    return load_checkpoint(folder / "best.pt"), load_checkpoint(folder / "last.pt"), folder / "history.csv"


def test_folds_that_share_a_trajectory_get_the_bits_they_get_alone(tiny, together, tmp_path):
    alone = tiny.experiment(tmp_path, plateau_patience=0)
    for fold in alone.folds[:2]:
        alone.train("baseline_n", fold, 1)
        assert same_outcome(of_fold(alone, fold), of_fold(together, fold))
        assert together.trained("baseline_n", fold, 1)
    (first, second) = (of_fold(together, fold)[1] for fold in alone.folds[:2])
    assert same_weights(first["model"], second["model"])  # one trajectory, validated on two speakers
    assert [row["loss"] for row in first["history"]] == [row["loss"] for row in second["history"]]


@pytest.mark.parametrize(("method", "call"), [("save", 2), ("save", 4), ("train_epoch", 2), ("validate", 6)])
def test_a_shared_trajectory_stopped_anywhere_goes_on_to_the_very_same_end(
    tiny, together, tmp_path, monkeypatch, method, call
):
    """Also where one of its folds has an epoch that the other lacks."""
    experiment = tiny.experiment(tmp_path, plateau_patience=0)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, method, call)
        experiment.train_group(shared(experiment, "baseline_n"))
    experiment.train_group(shared(experiment, "baseline_n"))
    for fold in experiment.folds[:2]:
        assert same_outcome(of_fold(experiment, fold), of_fold(together, fold))


def test_a_fold_whose_patience_ends_leaves_the_trajectory_to_the_others(tiny, tmp_path, monkeypatch):
    whole, uars = running.Run.validate, {1: iter([50.0, 40.0, 30.0]), 2: iter([10.0, 20.0, 30.0, 40.0])}
    monkeypatch.setattr(
        running.Run, "validate", lambda run, model: whole(run, model) | {"valid_uar": next(uars[run.fold.number])}
    )
    experiment = tiny.experiment(tmp_path, plateau_patience=0, patience=1, max_epochs=4)
    experiment.train_group(shared(experiment, "baseline_n"))
    assert [len(of_fold(experiment, fold)[1]["history"]) for fold in experiment.folds[:2]] == [2, 4]


def test_who_shares_a_trajectory(tiny, tmp_path):
    """Not those with a teacher of their own, nor those whose learning rate follows their own validation."""
    names = ["baseline_n", "trnet", "trnet_wo_high"]
    experiment = tiny.experiment(tmp_path, plateau_patience=0)
    groups = experiment.groups(names, experiment.folds, [1, 2])
    sizes = {name: [len(g.folds) for g in groups if g.name == name and g.seed == 1] for name in names}
    assert sizes == {"baseline_n": [2, 2, 2], "trnet": [1] * 6, "trnet_wo_high": [2, 2, 2]}
    assert {(g.name, f.number, g.seed) for g in groups for f in g.folds} == {
        (name, number, seed) for name in names for number in range(1, 7) for seed in (1, 2)
    }
    plateau = tiny.experiment(tmp_path, plateau_patience=2)
    assert all(len(group.folds) == 1 for group in plateau.groups(names, plateau.folds, [1]))


def test_an_epoch_that_does_not_fit_the_device_begins_again_with_half_the_features_there(
    tiny, trained, tmp_path, monkeypatch, capsys
):
    experiment, whole, calls = tiny.experiment(tmp_path), loop.losses_of, []

    def losses_of(*args):
        calls.append(1)
        if len(calls) == 6:  # in epoch 2
            raise torch.OutOfMemoryError
        return whole(*args)

    monkeypatch.setattr(loop, "losses_of", losses_of)
    experiment.train("baseline_c", experiment.folds[0], 1)
    assert "out of GPU memory in epoch 2; half of the features" in capsys.readouterr().out
    assert same_outcome(outcome(experiment, "baseline_c"), outcome(trained, "baseline_c"))


def test_a_device_with_nothing_left_to_give_back_is_said(tiny, tmp_path, monkeypatch):
    def losses_of(*_args):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(loop, "losses_of", losses_of)
    experiment = tiny.experiment(tmp_path)
    with pytest.raises(TrnetError, match=r"baseline_c fold 1 seed 1: out of GPU memory; lower training.batch_size"):
        experiment.train("baseline_c", experiment.folds[0], 1)


def test_a_fold_without_one_of_the_classes_is_refused(tiny, tmp_path):
    """Only S1F is ever sad: in fold 1 nothing sad is left to train on."""
    experiment = tiny.experiment(tmp_path)
    sad, neutral = (experiment.classes.index(name) for name in ("sad", "neu"))
    others = {utt: neutral for utt, label in experiment.labels.items() if label == sad and utt[:3] != "S1F"}
    experiment.labels.update(others)
    with pytest.raises(TrnetError, match=r"fold 1: nothing to train on of class sad once S1F and S1M are held out"):
        experiment.train("baseline_c", experiment.folds[0], 1)


def with_system(tiny, exp, name, **changes):
    """The experiment with one system changed."""
    experiment = tiny.experiment(exp)
    systems = experiment.config.systems | {name: replace(experiment.config.system(name), **changes)}
    return replace(experiment, config=replace(experiment.config, systems=systems))


def test_a_student_may_start_from_its_teacher(tiny, trained, tmp_path, monkeypatch):
    experiment, fold = with_system(tiny, tmp_path, "trnet_wo_high", init="teacher"), trained.folds[0]
    teacher = trained.run_folder("baseline_c", fold, 1)
    with pytest.raises(TrnetError, match="no teacher for fold 1"):
        experiment.train("trnet_wo_high", fold, 1)
    shutil.copytree(teacher, experiment.run_folder("baseline_c", fold, 1))
    starts = []
    monkeypatch.setattr(loop.Trajectory, "train", lambda self, bar: starts.append(self.model.ser.state_dict()))
    with pytest.raises(IndexError):  # the epoch that was not trained
        experiment.train("trnet_wo_high", fold, 1)
    assert same_weights(starts[0], load_checkpoint(teacher / "best.pt")["model"])
    assert "init" in experiment.stamp("trnet_wo_high", fold, 1).made_from["system"]
    assert "init" not in trained.stamp("trnet_wo_high", fold, 1).made_from["system"]


def test_the_average_of_the_weights_is_what_is_validated_and_kept(tiny, tmp_path, monkeypatch):
    """By hand: after each step average = 0.9 average + 0.1 weights, from the first step's weights on."""
    steps, whole = [], loop.Trajectory.step

    def step(self, batch):
        losses = whole(self, batch)
        steps.append({key: value.clone() for key, value in self.model.state_dict().items()})
        return losses

    monkeypatch.setattr(loop.Trajectory, "step", step)
    experiment = tiny.experiment(tmp_path, ema=0.9, max_epochs=1)
    experiment.train("baseline_n", experiment.folds[0], 1)
    best, last, _ = outcome(experiment, "baseline_n")
    name = "encoder.blocks.0.conv.weight"
    average = steps[0][name]
    for weights in steps[1:]:
        average = 0.9 * average + 0.1 * weights[name]
    assert_near(best["model"][name], average)
    assert torch.equal(last["model"][name], steps[-1][name]) and not torch.allclose(
        best["model"][name], steps[-1][name]
    )


def test_a_run_with_an_average_stopped_goes_on_to_the_very_same_end(tiny, tmp_path, monkeypatch):
    whole, stopped = (tiny.experiment(tmp_path / name, ema=0.9) for name in ("whole", "stopped"))
    fold = whole.folds[0]
    whole.train("baseline_n", fold, 1)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, "train_epoch", 2)
        stopped.train("baseline_n", fold, 1)
    stopped.train("baseline_n", fold, 1)
    assert same_outcome(outcome(stopped, "baseline_n"), outcome(whole, "baseline_n"))


def test_runs_of_another_configuration_are_kept_and_come_back(tiny, trained, tmp_path, monkeypatch):
    """Nothing of hours of training is lost to a changed line of YAML, nor to that line changed back."""
    first, second = tiny.experiment(tmp_path, max_epochs=1), tiny.experiment(tmp_path, max_epochs=1, lr=0.02)
    fold = first.folds[0]
    first.train("baseline_c", fold, 1)
    before = outcome(first, "baseline_c")
    second.train("baseline_c", fold, 1)
    assert not same_weights(before[1]["model"], outcome(second, "baseline_c")[1]["model"])
    assert len(list(tmp_path.glob("raw/baseline_c/fold1_seed1.*/best.pt"))) == 1
    stop_at(monkeypatch, "train_epoch", 1)  # nothing is trained from here on
    first.train("baseline_c", fold, 1)
    assert same_weights(before[1]["model"], outcome(first, "baseline_c")[1]["model"])
    second.train("baseline_c", fold, 1)
    assert second.trained("baseline_c", fold, 1) and not first.trained("baseline_c", fold, 1)


def test_a_run_of_more_epochs_is_kept_where_fewer_are_wanted(tiny, tmp_path, capsys):
    longer, shorter = tiny.experiment(tmp_path, max_epochs=2), tiny.experiment(tmp_path, max_epochs=1)
    fold = longer.folds[0]
    longer.train("baseline_c", fold, 1)
    before = outcome(longer, "baseline_c")
    shorter.train("baseline_c", fold, 1)
    assert "has 2 epochs, too many; what was there is kept as fold1_seed1." in capsys.readouterr().out
    assert len(outcome(shorter, "baseline_c")[1]["history"]) == 1
    (kept,) = tmp_path.glob("raw/baseline_c/fold1_seed1.*.2epochs/last.pt")
    assert same_weights(torch.load(kept, weights_only=True)["model"], before[1]["model"])


def test_the_target_may_be_clean_speech_that_the_front_end_has_heard(tiny, tmp_path, monkeypatch):
    experiment = with_system(tiny, tmp_path, "trnet_wo_high", target="enhanced_clean")
    made_from = experiment.stamp("trnet_wo_high", experiment.folds[0], 1).made_from
    assert made_from["target"] == made_from["features"]["none/tiny"]
    wanted = experiment._sets("trnet_wo_high")
    assert ("enhanced", CLEAN) in wanted and experiment.config.system("trnet_wo_high").target_kind == "enhanced"


class Sent(TorchDispatchMode):
    """Shapes of what goes from the host to another device, by whether the host waits for it."""

    def __init__(self):
        super().__init__()
        self.with_wait, self.without_wait = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        if function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[0] if function is torch.ops.aten._to_copy.default else args[1]
            without_wait = kwargs.get("non_blocking") or args[2:] == (True,)
            if source.device.type == "cpu" != out.device.type:
                (self.without_wait if without_wait else self.with_wait).append(tuple(source.shape))
        return out


@pytest.mark.parametrize("training", [{}, {"ema": 0.9, "grad_clip": 1.0}])
@pytest.mark.parametrize("name", ["baseline_e", "trnet"])
def test_a_step_asks_nothing_of_the_device(tiny, trained, tmp_path, monkeypatch, name, training):
    """PyTorch's meta device has shapes and no numbers: what a GPU would have to be waited for cannot be had there."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # meta has none
    experiment = replace(tiny.experiment(tmp_path, plateau_patience=0, **training), device=torch.device("meta"))
    group = Group(name, (experiment.folds[0],), 1)
    dim = experiment.config.encoder.channels[-1]
    h_s = {utt: torch.zeros(dim, device="meta") for utt in group.folds[0].train}
    monkeypatch.setattr(Experiment, "_h_s", lambda *_: h_s)
    experiment.hold([group])
    task = experiment._task(group)
    trajectory = loop.Trajectory(task, [])
    with Sent() as sent:
        for items in ([(utt, condition) for utt in task.utts[:3]] for condition in task.conditions):
            batch = task.reader(training=True).read(items)
            assert len(set(batch.lengths.tolist())) > 1, "padding is part of it"
            losses = trajectory.step(batch)
            assert {value.device.type for value in losses.values()} == {"meta"}
    assert sent.without_wait and not sent.with_wait
