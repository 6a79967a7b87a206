"""Damaged runs: said in one line, nothing lost, and the advice that is printed works when it is followed."""

import shutil
from pathlib import Path

import pytest
import torch
from training import history, is_finished, run_of, train

from trnet.bin import train as train_command
from trnet.runs.checkpoint import load_checkpoint, save_checkpoint
from trnet.train.session import Session
from trnet.train.trainer import Trainer
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory) -> Path:
    """A folder of runs: Baseline-c of fold 1 and seed 1, two epochs; not to be changed."""
    exp = tmp_path_factory.mktemp("exp")
    train(tiny.session(exp, max_epochs=2), "baseline_c")
    return exp


@pytest.fixture(params=["finished", "stopped"])
def run(request, tiny, finished, tmp_path) -> tuple[Session, Path]:
    """A session that is content with these two epochs, or wants a third, and the folder of the run."""
    shutil.copytree(finished, tmp_path / "exp")
    session = tiny.session(tmp_path / "exp", max_epochs=2 if request.param == "finished" else 3)
    return session, run_of(session, "baseline_c").folder


def go_on(session: Session) -> None:
    train(session, "baseline_c")


def epochs(folder: Path) -> int:
    return len(load_checkpoint(folder / "last.pt")["history"])


def is_whole(session: Session, finished: Path) -> bool:
    """Whether the run is finished and begins as the one that nobody damaged."""
    if not is_finished(session, "baseline_c"):
        return False
    mine = history(session, "baseline_c")
    first = load_checkpoint(finished / "raw/baseline_c/fold1_seed1/last.pt")["history"]
    return mine[:2] == first


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    """One bit of a weight."""
    weight = load_checkpoint(path)["model"]["pooling.score.0.weight"]
    content = bytearray(path.read_bytes())
    content[content.index(weight.contiguous().numpy().tobytes()[:16]) + 8] ^= 1
    path.write_bytes(content)


def without_model(path: Path) -> None:
    state = load_checkpoint(path)
    del state["model"]
    save_checkpoint(path, state)


@pytest.mark.parametrize(
    ("run", "damage"),
    [("finished", cut), ("stopped", cut), ("stopped", flip), ("finished", without_model)],
    indirect=["run"],
)
@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_a_damaged_checkpoint_is_said_and_both_pieces_of_advice_work(run, finished, tmp_path, name, damage, capsys):
    session, folder = run
    whole = (folder / name).read_bytes()
    damage(folder / name)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for _ in range(2):  # the second call says the same
        with pytest.raises(TrnetError, match=rf"{folder}/{name}: .*move the folder {folder} elsewhere") as caught:
            go_on(session)
    assert "\n" not in str(caught.value) and "up to date" not in capsys.readouterr().out
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}  # nothing is lost
    damaged = (folder / name).read_bytes()
    (folder / name).write_bytes(whole)  # put a whole copy of it back
    go_on(session)
    assert is_whole(session, finished)
    (folder / name).write_bytes(damaged)
    shutil.move(folder, tmp_path / "elsewhere")  # or move the folder elsewhere
    go_on(session)
    assert is_whole(session, finished)


def test_a_checkpoint_of_another_epoch_is_said(run, finished):
    session, folder = run
    state = load_checkpoint(folder / "best.pt")
    save_checkpoint(folder / "best.pt", state | {"epoch": 7})
    with pytest.raises(TrnetError, match=r"best\.pt: .*epoch 7.*last\.pt"):
        go_on(session)
    assert epochs(folder) == 2


def test_a_best_pt_of_an_epoch_that_is_not_wanted_any_more_is_said(tiny, finished, tmp_path):
    """Stopped in epoch 3, after best.pt and before last.pt; then two epochs are asked for."""
    shutil.copytree(finished, tmp_path / "exp")
    session = tiny.session(tmp_path / "exp", max_epochs=2)
    stamp = session.experiment.stamp(run_of(session, "baseline_c"))
    stamp.begin()
    state = load_checkpoint(stamp.folder / "best.pt")
    save_checkpoint(stamp.folder / "best.pt", state | {"epoch": 3})
    with pytest.raises(TrnetError, match=r"best\.pt: .*epoch 3"):
        go_on(session)
    assert epochs(stamp.folder) == 2


def test_a_deleted_best_pt_is_said_and_nothing_is_lost(run, finished, tmp_path):
    session, folder = run
    shutil.move(folder / "best.pt", tmp_path / "best.pt")
    with pytest.raises(TrnetError, match=r"best\.pt: .*last\.pt.*2 epochs.*whole copy"):
        go_on(session)
    assert epochs(folder) == 2
    shutil.move(tmp_path / "best.pt", folder / "best.pt")
    go_on(session)
    assert is_whole(session, finished)


def test_without_last_pt_a_run_is_trained_anew_and_what_is_left_of_it_is_kept(run, finished, capsys):
    session, folder = run
    best = (folder / "best.pt").read_bytes()
    (folder / "last.pt").unlink()
    go_on(session)
    assert "fold1_seed1: has no last.pt" in capsys.readouterr().out
    assert is_whole(session, finished)
    (kept,) = folder.parent.glob("fold1_seed1.*.incomplete/best.pt")
    assert kept.read_bytes() == best


def test_without_both_checkpoints_or_the_folder_a_run_is_trained_anew(run, finished):
    session, folder = run
    for name in ("best.pt", "last.pt"):
        (folder / name).unlink()
    go_on(session)
    assert is_whole(session, finished)
    shutil.rmtree(folder)
    go_on(session)
    assert is_whole(session, finished)
    assert [path.name for path in folder.parent.glob("fold1_seed1*")] == ["fold1_seed1"]


@pytest.mark.parametrize(
    "content", [None, b"", b"null", b"[1]", b"\xff\x00", b'{"made_from": 3}', b'{"made_from": {}, "results": []}']
)
@pytest.mark.parametrize("run", ["finished"], indirect=True)
def test_a_run_whose_stamp_is_damaged_is_kept_and_trained_anew(run, finished, content, capsys):
    """Nobody knows what it was made from; it used to be deleted, hours of training with it."""
    session, folder = run
    stamp = session.experiment.stamp(run_of(session, "baseline_c")).path
    before = (folder / "last.pt").read_bytes()
    for number in ("", ".2") if content is None else ("",):  # the second time beside the first
        stamp.unlink() if content is None else stamp.write_bytes(content)
        assert not is_finished(session, "baseline_c")
        go_on(session)
        assert stamp.name in capsys.readouterr().out
        (kept,) = folder.parent.glob(f"fold1_seed1.*[0-9a-f]{number}/last.pt")
        if not number:
            assert kept.read_bytes() == before
        assert is_whole(session, finished)


@pytest.mark.parametrize("content", [None, b"", b"epoch,lr\n1", b"\xff\xfe"])
def test_a_history_csv_that_is_gone_or_damaged_is_written_anew(tiny, finished, tmp_path, content, monkeypatch, capsys):
    shutil.copytree(finished, tmp_path / "exp")
    table = tmp_path / "exp/raw/baseline_c/fold1_seed1/history.csv"
    whole = table.read_bytes()
    table.unlink() if content is None else table.write_bytes(content)
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("was trained"))
    command = ["--exp", str(tmp_path / "exp"), "--part", "teacher", "--folds", "1", "--max-epochs", "2"]
    assert train_command.main([*tiny.folders(), *command]) == 0
    assert table.read_bytes() == whole and "history.csv: " in capsys.readouterr().out


def test_a_run_of_an_older_version_without_results_in_its_stamp_is_up_to_date(tiny, finished, capsys):
    assert '"results"' not in (finished / "raw/baseline_c/fold1_seed1/.train.json").read_text()
    go_on(tiny.session(finished, max_epochs=2))
    assert "fold1_seed1: up to date" in capsys.readouterr().out


def test_the_command_says_a_damaged_run_and_trains_the_others(tiny, finished, tmp_path, fails):
    shutil.copytree(finished, tmp_path / "exp")
    cut(tmp_path / "exp/raw/baseline_c/fold1_seed1/best.pt")
    command = ["--exp", str(tmp_path / "exp"), "--part", "teacher", "--folds", "1 3", "--max-epochs", "2"]
    said = fails(train_command.main, [*tiny.folders(), *command])
    assert "fold1_seed1/best.pt: " in said and "1 of 2 runs failed" in said
    assert epochs(tmp_path / "exp/raw/baseline_c/fold3_seed1") == 2


def test_a_damaged_fold_does_not_stop_those_that_share_its_trajectory(tiny, tmp_path):
    session = tiny.session(tmp_path, max_epochs=1, plateau_patience=0)
    experiment = session.experiment
    (group,) = experiment.groups(experiment.runs(["baseline_n"], experiment.dataset.folds[:2], [1]))
    session.train_group(group)
    more = tiny.session(tmp_path, max_epochs=2, plateau_patience=0)
    first, second = (run.folder for run in group)
    cut(first / "last.pt")
    with pytest.raises(TrnetError, match=f"{first}/last.pt: "):
        more.train_group(group)
    assert epochs(second) == 2


def test_a_damaged_teacher_is_reported_before_its_students_are_moved_aside(tiny, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "exp")
    session = tiny.session(tmp_path / "exp", max_epochs=2)
    train(session, "trnet")
    teacher = run_of(session, "baseline_c").best
    cut(teacher)
    for _ in range(2):
        with pytest.raises(TrnetError, match=f"{teacher}: "):
            train(session, "trnet")
    student = run_of(session, "trnet").folder
    assert [path.name for path in student.parent.glob("fold*")] == [student.name] and epochs(student) == 2


def test_a_last_pt_of_another_model_is_refused_by_key(tiny, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "exp")
    session = tiny.session(tmp_path / "exp", max_epochs=3)
    last = run_of(session, "baseline_c").last
    state = load_checkpoint(last)
    state["model"]["ser.x"] = state["model"].pop("encoder.blocks.0.conv.weight")
    save_checkpoint(last, state)
    with pytest.raises(TrnetError, match=r"last\.pt: .*missing encoder.blocks.0.conv.weight.*extra ser.x"):
        go_on(session)


def test_a_run_of_more_epochs_is_kept_where_fewer_are_wanted(tiny, finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "exp")
    session = tiny.session(tmp_path / "exp", max_epochs=1)
    before = load_checkpoint(run_of(session, "baseline_c").last)["model"]
    train(session, "baseline_c")
    assert "fold1_seed1: has 2 epochs" in capsys.readouterr().out
    assert len(history(session, "baseline_c")) == 1
    (kept,) = tmp_path.glob("exp/raw/baseline_c/fold1_seed1.*.2epochs/last.pt")
    assert all(torch.equal(before[key], value) for key, value in load_checkpoint(kept)["model"].items())


def test_an_optimizer_that_does_not_fit_is_said(tiny, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "exp")
    session = tiny.session(tmp_path / "exp", max_epochs=3)
    last = run_of(session, "baseline_c").last
    state = load_checkpoint(last)
    state["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)
    save_checkpoint(last, state)
    with pytest.raises(TrnetError, match=r"last\.pt: entry 'optimizer' does not fit"):
        go_on(session)
