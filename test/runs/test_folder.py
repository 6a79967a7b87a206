"""Damaged runs: said in one line, nothing lost, and the advice that is printed works when it is followed."""

import shutil
from pathlib import Path

import pytest
import torch

from trnet.bin import train
from trnet.runs.checkpoint import load_checkpoint, save_checkpoint
from trnet.runs.experiment import Experiment, Group
from trnet.train import loop
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory) -> Path:
    """A folder of runs: Baseline-c of fold 1 and seed 1, two epochs; not to be changed."""
    exp = tmp_path_factory.mktemp("exp")
    experiment = tiny.experiment(exp, max_epochs=2)
    experiment.train("baseline_c", experiment.folds[0], 1)
    return exp


@pytest.fixture(params=["finished", "stopped"])
def run(request, tiny, finished, tmp_path) -> tuple[Experiment, Path]:
    """An experiment that is content with these two epochs, or wants a third, and the folder of the run."""
    shutil.copytree(finished, tmp_path / "exp")
    experiment = tiny.experiment(tmp_path / "exp", max_epochs=2 if request.param == "finished" else 3)
    return experiment, experiment.run_folder("baseline_c", experiment.folds[0], 1)


def go_on(experiment: Experiment) -> None:
    experiment.train("baseline_c", experiment.folds[0], 1)


def epochs(folder: Path) -> int:
    return len(load_checkpoint(folder / "last.pt")["history"])


def is_whole(experiment: Experiment, finished: Path) -> bool:
    """Whether the run is finished and begins as the one that nobody damaged."""
    if not experiment.trained("baseline_c", experiment.folds[0], 1):
        return False
    mine = load_checkpoint(experiment.run_folder("baseline_c", experiment.folds[0], 1) / "last.pt")["history"]
    first = load_checkpoint(finished / "raw/baseline_c/fold1_seed1/last.pt")["history"]
    return mine[:2] == first


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def without_model(path: Path) -> None:
    state = load_checkpoint(path)
    del state["model"]
    save_checkpoint(path, state)


@pytest.mark.parametrize("damage", [cut, flip, without_model])
@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_a_damaged_checkpoint_is_said_and_both_pieces_of_advice_work(run, finished, tmp_path, name, damage, capsys):
    experiment, folder = run
    whole = (folder / name).read_bytes()
    damage(folder / name)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for _ in range(2):  # the second call says the same
        with pytest.raises(TrnetError, match=rf"{folder}/{name}: .*move the folder {folder} elsewhere") as caught:
            go_on(experiment)
    assert "\n" not in str(caught.value) and "up to date" not in capsys.readouterr().out
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}  # nothing is lost
    damaged = (folder / name).read_bytes()
    (folder / name).write_bytes(whole)  # put a whole copy of it back
    go_on(experiment)
    assert is_whole(experiment, finished)
    (folder / name).write_bytes(damaged)
    shutil.move(folder, tmp_path / "elsewhere")  # or move the folder elsewhere
    go_on(experiment)
    assert is_whole(experiment, finished)


def test_a_checkpoint_of_another_epoch_is_said(run, finished):
    experiment, folder = run
    state = load_checkpoint(folder / "best.pt")
    save_checkpoint(folder / "best.pt", state | {"epoch": 7})
    with pytest.raises(TrnetError, match=r"best\.pt: is of epoch 7, but the best of last\.pt is"):
        go_on(experiment)
    assert epochs(folder) == 2


def test_a_best_pt_of_an_epoch_that_is_not_wanted_any_more_is_said(tiny, finished, tmp_path):
    """Stopped in epoch 3, after best.pt and before last.pt; then two epochs are asked for."""
    shutil.copytree(finished, tmp_path / "exp")
    experiment = tiny.experiment(tmp_path / "exp", max_epochs=2)
    stamp = experiment.stamp("baseline_c", experiment.folds[0], 1)
    stamp.begin()
    state = load_checkpoint(stamp.folder / "best.pt")
    save_checkpoint(stamp.folder / "best.pt", state | {"epoch": 3})
    with pytest.raises(TrnetError, match=r"best\.pt: is of epoch 3"):
        go_on(experiment)
    assert epochs(stamp.folder) == 2


def test_a_deleted_best_pt_is_said_and_nothing_is_lost(run, finished, tmp_path):
    experiment, folder = run
    shutil.move(folder / "best.pt", tmp_path / "best.pt")
    with pytest.raises(TrnetError, match=r"best\.pt: is gone, but last\.pt has 2 epochs; put a whole copy of it back"):
        go_on(experiment)
    assert epochs(folder) == 2
    shutil.move(tmp_path / "best.pt", folder / "best.pt")
    go_on(experiment)
    assert is_whole(experiment, finished)


def test_without_last_pt_a_run_is_trained_anew_and_what_is_left_of_it_is_kept(run, finished, capsys):
    experiment, folder = run
    best = (folder / "best.pt").read_bytes()
    (folder / "last.pt").unlink()
    go_on(experiment)
    assert "fold1_seed1: has no last.pt; what was there is kept as fold1_seed1." in capsys.readouterr().out
    assert is_whole(experiment, finished)
    (kept,) = folder.parent.glob("fold1_seed1.*.incomplete/best.pt")
    assert kept.read_bytes() == best


def test_without_both_checkpoints_or_the_folder_a_run_is_trained_anew(run, finished):
    experiment, folder = run
    for name in ("best.pt", "last.pt"):
        (folder / name).unlink()
    go_on(experiment)
    assert is_whole(experiment, finished)
    shutil.rmtree(folder)
    go_on(experiment)
    assert is_whole(experiment, finished)
    assert [path.name for path in folder.parent.glob("fold1_seed1*")] == ["fold1_seed1"]


@pytest.mark.parametrize(
    "content", [None, b"", b"null", b"[1]", b"\xff\x00", b'{"made_from": 3}', b'{"made_from": {}, "results": []}']
)
def test_a_run_whose_stamp_is_damaged_is_kept_and_trained_anew(run, finished, content, capsys):
    """Nobody knows what it was made from; it used to be deleted, hours of training with it."""
    experiment, folder = run
    stamp = experiment.stamp("baseline_c", experiment.folds[0], 1).path
    before = (folder / "last.pt").read_bytes()
    for number in ("", ".2"):  # the second time beside the first
        stamp.unlink() if content is None else stamp.write_bytes(content)
        assert not experiment.trained("baseline_c", experiment.folds[0], 1)
        go_on(experiment)
        assert f"{stamp.name} is gone or damaged" in capsys.readouterr().out
        (kept,) = folder.parent.glob(f"fold1_seed1.*[0-9a-f]{number}/last.pt")
        if not number:
            assert kept.read_bytes() == before
        assert is_whole(experiment, finished)


@pytest.mark.parametrize("content", [None, b"", b"epoch,lr\n1", b"\xff\xfe"])
def test_a_history_csv_that_is_gone_or_damaged_is_written_anew(tiny, finished, tmp_path, content, monkeypatch, capsys):
    shutil.copytree(finished, tmp_path / "exp")
    table = tmp_path / "exp/raw/baseline_c/fold1_seed1/history.csv"
    whole = table.read_bytes()
    table.unlink() if content is None else table.write_bytes(content)
    monkeypatch.setattr(loop.Trajectory, "train", lambda *_: pytest.fail("was trained"))
    command = ["--exp", str(tmp_path / "exp"), "--part", "teacher", "--folds", "1", "--max-epochs", "2"]
    assert train.main([*tiny.folders(), *command]) == 0
    assert table.read_bytes() == whole and "history.csv: was gone or damaged" in capsys.readouterr().out


def test_a_run_of_an_older_version_without_results_in_its_stamp_is_up_to_date(tiny, finished, capsys):
    assert '"results"' not in (finished / "raw/baseline_c/fold1_seed1/.train.json").read_text()
    go_on(tiny.experiment(finished, max_epochs=2))
    assert "fold1_seed1: up to date" in capsys.readouterr().out


def test_the_command_says_a_damaged_run_and_trains_the_others(tiny, finished, tmp_path, fails):
    shutil.copytree(finished, tmp_path / "exp")
    cut(tmp_path / "exp/raw/baseline_c/fold1_seed1/best.pt")
    command = ["--exp", str(tmp_path / "exp"), "--part", "teacher", "--folds", "1 3", "--max-epochs", "2"]
    said = fails(train.main, [*tiny.folders(), *command])
    assert "fold1_seed1/best.pt: is no readable checkpoint" in said and "1 of 2 runs failed" in said
    assert epochs(tmp_path / "exp/raw/baseline_c/fold3_seed1") == 2


def test_a_damaged_fold_does_not_stop_those_that_share_its_trajectory(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path, max_epochs=1, plateau_patience=0)
    (group,) = experiment.groups(["baseline_n"], experiment.folds[:2], [1])
    experiment.train_group(group)
    more = tiny.experiment(tmp_path, max_epochs=2, plateau_patience=0)
    first, second = (more.run_folder("baseline_n", fold, 1) for fold in group.folds)
    cut(first / "last.pt")
    with pytest.raises(TrnetError, match=f"{first}/last.pt: is no readable checkpoint"):
        more.train_group(group)
    assert epochs(second) == 2


def test_a_damaged_teacher_is_said_before_its_students_are_moved_aside(tiny, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "exp")
    experiment = tiny.experiment(tmp_path / "exp", max_epochs=2)
    fold = experiment.folds[0]
    experiment.train("trnet", fold, 1)
    teacher = experiment.run_folder("baseline_c", fold, 1) / "best.pt"
    cut(teacher)
    for _ in range(2):
        with pytest.raises(TrnetError, match=f"{teacher}: is no readable checkpoint"):
            experiment.train_group(Group("trnet", (fold,), 1))
    student = experiment.run_folder("trnet", fold, 1)
    assert [path.name for path in student.parent.glob("fold*")] == [student.name] and epochs(student) == 2


def test_an_optimizer_that_does_not_fit_is_said(tiny, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "exp")
    experiment = tiny.experiment(tmp_path / "exp", max_epochs=3)
    last = experiment.run_folder("baseline_c", experiment.folds[0], 1) / "last.pt"
    state = load_checkpoint(last)
    state["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)
    save_checkpoint(last, state)
    with pytest.raises(TrnetError, match=r"last\.pt: entry 'optimizer' does not fit"):
        go_on(experiment)
