"""What a session's runs read, and what of it is wrong: blind to the test speaker; the teacher stands still."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from near import assert_near
from tiny import SPEAKERS, change_features
from training import (
    history,
    is_finished,
    outcome,
    run_of,
    same_outcome,
    same_weights,
    stop_at,
    train,
    with_system,
    with_teacher,
)

from trnet.conditions import CLEAN
from trnet.features.cache import FeatureCache
from trnet.frontend import build_frontend
from trnet.model.batch import Batch
from trnet.model.systems import make_system
from trnet.runs.checkpoint import load_checkpoint
from trnet.train.trainer import Trainer
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


def read_during(monkeypatch, work) -> set[tuple[str, str, str]]:
    """(kind, utterance, condition) of all features that are in a batch while `work` is done."""
    whole, read = FeatureCache.stack, set()

    def stack(self, kind, items):
        read.update((kind, utt, condition.name) for utt, condition in items)
        return whole(self, kind, items)

    monkeypatch.setattr(FeatureCache, "stack", stack)
    work()
    return read


@pytest.mark.parametrize("how", ["draw", "all"])
def test_no_system_reads_a_test_utterance_or_a_condition_that_is_not_its_own(tiny, tmp_path, monkeypatch, how):
    session = tiny.session(tmp_path, max_epochs=1, train_conditions=how, valid_conditions=how)
    fold = session.experiment.dataset.folds[2]  # S2F tests, S2M validates
    assert (fold.test_speaker, fold.valid_speaker) == ("S2F", "S2M")
    everything = {"clean", "esc_10db", "esc_0db"}
    for name, kinds in {"baseline_c": {"noisy"}, "baseline_e": {"enhanced"}, "trnet": {"noisy", "enhanced"}}.items():
        with monkeypatch.context() as patch:
            read = read_during(patch, lambda name=name: train(session, name, 3))
        assert {utt[:3] for _, utt, _ in read} == set(SPEAKERS) - {"S2F"}
        assert {kind for kind, _, _ in read} == kinds
        assert {condition for _, _, condition in read} == ({"clean"} if name == "baseline_c" else everything)
        if how == "all" and name == "baseline_e":
            wanted = {(u, c) for u in fold.train + fold.valid for c in everything}
            assert {(u, c) for _, u, c in read} == wanted


def test_features_of_the_test_speaker_need_not_be_there(tiny, trained, tmp_path):
    """The same weights to the bit without them: nothing was looked at."""
    fold, dump = trained.experiment.dataset.folds[0], tmp_path / "dump"
    shutil.copytree(tiny.dump, dump, ignore=shutil.ignore_patterns("wav"))
    for table in [*dump.rglob("feats.scp"), *dump.rglob("utt2num_frames")]:
        lines = table.read_text().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(fold.test_speaker)]
        assert 0 < len(kept) < len(lines)
        table.write_text("".join(kept))
    session = tiny.session(tmp_path / "exp", dump)
    for name in ("baseline_c", "trnet"):
        train(session, name)
        assert same_outcome(outcome(session, name), outcome(trained, name))


def test_h_s_is_what_the_teacher_makes_of_the_clean_speech(trained):
    experiment, run = trained.experiment, run_of(trained, "trnet")
    h_s = trained.data(run).h_s
    assert sorted(h_s) == list(run.fold.train)
    teacher = make_system(experiment.config.model("baseline_c"), 4)
    teacher.load_state_dict(outcome(trained, "baseline_c")[0]["model"])
    teacher.eval()
    for utt in run.fold.train[::5]:
        x = torch.from_numpy(experiment.reader.matrix("noisy", utt, CLEAN).copy())
        with torch.inference_mode():
            out = teacher(Batch((), torch.tensor([len(x)]), torch.tensor([0]), noisy=x[None]))
        assert h_s[utt].dtype == torch.float32 and not h_s[utt].requires_grad
        assert_near(h_s[utt], out.h[0])


def test_teacher_and_front_end_stand_still_while_trnet_trains(tiny, trained, tmp_path):
    session = with_teacher(tiny, trained, tmp_path, max_epochs=1)
    teacher = run_of(session, "baseline_c").folder
    before = {path.name: path.read_bytes() for path in teacher.iterdir() if path.is_file()}
    enhancer = build_frontend({"frontend": "gtcrn", "frontend_conf": {"init": "random"}})
    print_before = enhancer.fingerprint()
    train(session, "trnet")
    assert before == {path.name: path.read_bytes() for path in teacher.iterdir() if path.is_file()}
    enhancer.train()
    enhancer.enhance(torch.randn(2, 4000) * 0.1)
    assert enhancer.fingerprint() == print_before
    assert not any(parameter.requires_grad for parameter in enhancer.parameters())
    # nor is either among what trnet trains
    names = outcome(session, "trnet")[0]["model"]
    assert {name.split(".")[0] for name in names} == {"gate", "ser", "bridge"}


def test_without_its_teacher_trnet_does_not_train_but_trnet_wo_high_does(tiny, tmp_path):
    session = tiny.session(tmp_path, max_epochs=1)
    with pytest.raises(TrnetError, match="baseline_c.*teacher.*fold 1, seed 1"):
        train(session, "trnet")
    train(session, "trnet_wo_high")
    (row,) = history(session, "trnet_wo_high")
    assert "high" not in row and row["low"] >= 0
    assert row["loss"] == pytest.approx(row["task"] + 0.5 * row["low"], rel=1e-5)


def test_without_l_low_the_target_is_not_read_and_c_has_no_direct_loss(tiny, trained, tmp_path):
    session = with_teacher(tiny, trained, tmp_path, max_epochs=1)
    train(session, "trnet_wo_low")
    row = history(session, "trnet_wo_low")[0]
    assert "low" not in row and row["high"] > 0
    assert row["loss"] == pytest.approx(row["task"] + 0.5 * row["high"], rel=1e-5)
    assert session.data(run_of(session, "trnet_wo_low")).reader(training=True).target is None


def test_bf16_trains_with_float32_weights_and_c(tiny, tmp_path):
    session = tiny.session(tmp_path, max_epochs=1, precision="bf16")
    train(session, "trnet_wo_high")
    best, last, _ = outcome(session, "trnet_wo_high")
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

    session = tiny.session(tmp_path / "exp", broken_dump(tiny, tmp_path, "S3M-sad_1", change))
    with pytest.raises(TrnetError, match=r"baseline_c fold 1 seed 1: .*not finite.*S3M-sad_1\(clean\)"):
        train(session, "baseline_c")


def test_enhanced_features_of_another_length_are_refused(tiny, tmp_path):
    dump = broken_dump(tiny, tmp_path, "S3M-sad_1", lambda matrix: matrix[:-1])
    session = tiny.session(tmp_path / "exp", dump, train_conditions="all")
    with pytest.raises(TrnetError, match="S3M-sad_1: .*frames"):
        train(session, "trnet_wo_high")


def test_processes_together_take_half_of_what_is_free_shared_or_not(tiny, tmp_path, monkeypatch):
    session = tiny.session(tmp_path, max_epochs=1)
    runs = [run_of(session, "trnet")]
    with session.sharing(runs, 2) as mine:
        whole = mine.memory["cache"].nbytes
    monkeypatch.setattr("trnet.features.cache.psutil.virtual_memory", lambda: SimpleNamespace(available=whole))
    with session.sharing(runs, 2) as mine:
        shared, own = mine.memory["cache"].nbytes, mine.cache.room.device
        assert 0 < shared and shared + 2 * own <= whole // 2 <= shared + 2 * own + 1
        mine.hold(runs)
        assert set(mine.memory["cache"].sets) < mine.cache.in_memory  # the rest is on the disk


def test_missing_features_are_named(tiny, tmp_path):
    with pytest.raises(TrnetError, match="raw/tiny: "):
        train(tiny.session(tmp_path, dump=tmp_path / "nothing"), "baseline_c")


def test_features_of_another_front_end_under_the_same_name_are_refused(tiny, tmp_path):
    dump = tmp_path / "dump"
    shutil.copytree(tiny.dump, dump)
    stamp = dump / "none/tiny_esc_0db/.enhance.json"
    stamp.write_text(stamp.read_text().replace('"revision": 1', '"revision": 0'))
    with pytest.raises(TrnetError, match=r"tiny_esc_0db: .*front-end.*revision"):
        train(tiny.session(tmp_path / "exp", dump), "baseline_e")


def test_a_fold_without_one_of_the_classes_is_refused(tiny, tmp_path):
    """Only S1F is ever sad: in fold 1 nothing sad is left to train on."""
    session = tiny.session(tmp_path)
    dataset = session.experiment.dataset
    sad, neutral = (dataset.classes.index(name) for name in ("sad", "neu"))
    others = {utt: neutral for utt, label in dataset.labels.items() if label == sad and utt[:3] != "S1F"}
    dataset.labels.update(others)
    with pytest.raises(TrnetError, match=r"fold 1: .*sad.*S1F and S1M"):
        train(session, "baseline_c")


class Enough(Exception):
    """No epoch is needed."""


@pytest.fixture
def starts(monkeypatch) -> list[dict]:
    """The weights that each training begins with; none is trained."""
    found = []

    def begun(self, bar):
        found.append({key: value.clone() for key, value in self.job.model.state_dict().items()})
        raise Enough

    monkeypatch.setattr(Trainer, "train_epoch", begun)
    return found


def test_a_student_may_start_from_its_teacher(tiny, trained, tmp_path, starts):
    session = with_system(tiny, tmp_path, "trnet_wo_high", {"init": "teacher"})
    with pytest.raises(TrnetError, match="teacher.*fold 1"):
        train(session, "trnet_wo_high")
    teacher = run_of(trained, "baseline_c").folder
    shutil.copytree(teacher, run_of(session, "baseline_c").folder)
    with pytest.raises(Enough):
        train(session, "trnet_wo_high")
    own = {key.removeprefix("ser."): value for key, value in starts[0].items() if key.startswith("ser.")}
    assert same_weights(own, load_checkpoint(teacher / "best.pt")["model"])
    made_from = session.experiment.stamp(run_of(session, "trnet_wo_high")).made_from
    assert made_from["system"]["init"] == "teacher" and "teacher" in made_from
    made_from = trained.experiment.stamp(run_of(trained, "trnet_wo_high")).made_from
    assert "init" not in made_from["system"] and "teacher" not in made_from


def test_h_s_may_be_the_mean_of_several_teachers(tiny, trained, tmp_path):
    session = with_system(tiny, tmp_path, "trnet", {"teacher_seeds": [2, 1]})
    first = run_of(trained, "baseline_c").folder
    shutil.copytree(first, run_of(session, "baseline_c").folder)
    with pytest.raises(TrnetError, match="teacher.*fold 1, seed 2"):
        train(session, "trnet")
    train(session, "baseline_c", seed=2)
    of_each = [session._h_s_of(run_of(session, "trnet"), seed) for seed in (1, 2)]
    for seed in (1, 2, 3):  # whatever the seed of the student
        run = run_of(session, "trnet", seed=seed)
        for utt, h_s in session.data(run).h_s.items():
            assert_near(h_s, (of_each[0][utt] + of_each[1][utt]) / 2)
    digests = session.experiment.stamp(run_of(session, "trnet")).made_from["teacher"]
    assert digests == [run_of(session, "baseline_c", seed=seed).digest() for seed in (1, 2)]


def test_a_student_learns_its_teachers_frames_and_the_snr(tiny, trained, tmp_path, monkeypatch):
    """A teacher within a loss stands still, and what is stopped goes on as if it had not been."""
    losses = [{"type": "cross_entropy"}, {"type": "high_frames"}, {"type": "snr", "weight": 0.1}]
    sessions = [
        with_system(tiny, tmp_path / which, "trnet", {"losses": losses, "alpha": 0, "beta": 0}) for which in "ab"
    ]
    for session in sessions:
        shutil.copytree(run_of(trained, "baseline_c").folder, run_of(session, "baseline_c").folder)
    whole, stopped = sessions
    train(whole, "trnet")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, "validate", 2)
        train(stopped, "trnet")
    train(stopped, "trnet")
    assert same_outcome(outcome(whole, "trnet"), outcome(stopped, "trnet"))
    teacher = load_checkpoint(run_of(whole, "baseline_c").best)["model"]
    kept = outcome(whole, "trnet")[1]["losses"]
    assert same_weights({key.removeprefix("high_frames.teacher."): value for key, value in kept.items()}, teacher)
    rows = history(whole, "trnet")
    assert all(row["high_frames"] > 0 and row["snr"] > 0 for row in rows)


def test_the_target_may_be_enhanced_clean_speech(tiny, tmp_path, monkeypatch):
    session = with_system(tiny, tmp_path, "trnet_wo_high", {"target": "enhanced_clean"})
    run = run_of(session, "trnet_wo_high")
    made_from = session.experiment.stamp(run).made_from
    assert made_from["target"] == made_from["features"]["none/tiny"]
    session.hold([run])
    assert ("enhanced", CLEAN) in session.cache.in_memory
    assert session.data(run).reader(training=True).target == "enhanced"


def test_changed_settings_train_anew_and_a_changed_teacher_its_students(tiny, trained, tmp_path, capsys):
    session = with_teacher(tiny, trained, tmp_path, lr=0.02, max_epochs=1)
    assert not is_finished(session, "baseline_c")
    train(session, "baseline_c")
    assert "fold1_seed1: changed: training" in capsys.readouterr().out
    stamps = {name: session.experiment.stamp(run_of(session, name)) for name in ("trnet", "trnet_wo_high")}
    assert "teacher" in stamps["trnet"].made_from and "teacher" not in stamps["trnet_wo_high"].made_from


def test_runs_of_another_configuration_are_kept_and_come_back(tiny, tmp_path, monkeypatch):
    """Nothing of hours of training is lost to a changed line of YAML, nor to that line changed back."""
    first, second = tiny.session(tmp_path, max_epochs=1), tiny.session(tmp_path, max_epochs=1, lr=0.02)
    train(first, "baseline_c")
    before = outcome(first, "baseline_c")
    train(second, "baseline_c")
    assert not same_weights(before[1]["model"], outcome(second, "baseline_c")[1]["model"])
    assert len(list(tmp_path.glob("raw/baseline_c/fold1_seed1.*/best.pt"))) == 1
    stop_at(monkeypatch, "train_epoch", 1)  # nothing is trained from here on
    train(first, "baseline_c")
    assert same_weights(before[1]["model"], outcome(first, "baseline_c")[1]["model"])
    train(second, "baseline_c")
    assert is_finished(second, "baseline_c") and not is_finished(first, "baseline_c")
