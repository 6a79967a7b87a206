"""Curves: TensorBoard always, Weights & Biases where a project is named."""

import sys
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trnet.board import Board
from trnet.errors import TrnetError


def test_a_run_writes_its_curves_for_tensorboard(tiny, tmp_path):
    experiment = tiny.experiment(tmp_path, max_epochs=2)
    fold = experiment.folds[0]
    experiment.train("baseline_c", fold, 1)
    board = EventAccumulator(str(experiment.run_folder("baseline_c", fold, 1) / "tensorboard"))
    board.Reload()
    assert {"loss", "task", "lr", "valid/uar"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("valid/uar")] == [1, 2]
    assert "c_clean" not in board.Tags()["scalars"]  # Baseline-c has none


class FakeWandb:
    """What of the package is used."""

    def __init__(self):
        self.opened, self.points, self.finished = [], [], 0

    def init(self, **options):
        self.opened.append(options)
        return SimpleNamespace(log=lambda values, step: self.points.append((step, values)), finish=self.finish)

    def finish(self):
        self.finished += 1


def test_a_project_gets_the_curves_and_a_folder_is_always_the_same_run_there(tmp_path, monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for epoch in (1, 2):
        with Board(tmp_path / "run", epoch - 1, "trnet fold 1 seed 1", "ser") as board:
            board.scalars({"epoch": epoch, "loss": 0.5, "valid_uar": 40.0, "c_clean": None}, epoch)
    assert fake.points == [(epoch, {"loss": 0.5, "valid/uar": 40.0}) for epoch in (1, 2)]
    first, second = fake.opened
    assert first == second and first["project"] == "ser" and first["resume"] == "allow" and fake.finished == 2
    with Board(tmp_path / "other", 0, "", "ser"):
        pass
    assert fake.opened[2]["id"] != first["id"]


def test_a_project_without_the_package_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrnetError, match=r"--wandb: the package is not installed; pip install 'trnet\[wandb\]'"):
        Board(tmp_path, 0, "", "ser")
