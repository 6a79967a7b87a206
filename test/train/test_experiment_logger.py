"""Curves: TensorExperimentLogger always, Weights & Biases where a project is named."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import is_finished, run_of, train

from trnet.train.experiment_logger import ExperimentLogger
from trnet.utils.errors import TrnetError


def test_a_run_writes_its_curves_for_tensorboard(tiny, tmp_path):
    session = tiny.session(tmp_path, max_epochs=2)
    train(session, "baseline_c")
    board = EventAccumulator(str(run_of(session, "baseline_c").folder / "tensorboard"))
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
        with ExperimentLogger(tmp_path / "run", epoch - 1, "trnet fold 1 seed 1", "ser") as board:
            board.scalars({"epoch": epoch, "loss": 0.5, "valid_uar": 40.0, "c_clean": None}, epoch)
    assert fake.points == [(epoch, {"loss": 0.5, "valid/uar": 40.0}) for epoch in (1, 2)]
    first, second = fake.opened
    assert first == second and first["project"] == "ser" and first["resume"] == "allow" and fake.finished == 2
    with ExperimentLogger(tmp_path / "other", 0, "", "ser"):
        pass
    assert fake.opened[2]["id"] != first["id"]


def test_a_project_without_the_package_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrnetError, match="--wandb: .*wandb.*installed"):
        ExperimentLogger(tmp_path, 0, "", "ser")


@pytest.mark.parametrize("file_exists", [False, True])
def test_training_goes_on_where_curves_cannot_be_written(tiny, tmp_path, monkeypatch, capfd, file_exists):
    """A full disk, that of /dev/full; or a file where the folder should be."""
    session = tiny.session(tmp_path, max_epochs=2)
    folder = run_of(session, "baseline_c").folder
    whole = ExperimentLogger._open

    def on_full_disk(self, purge_step):
        if file_exists:
            folder.joinpath("tensorboard").write_text("")
        else:
            whole(self, purge_step)
            self._stream = open("/dev/full", "wb")

    if not file_exists and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    if file_exists:
        monkeypatch.setattr(ExperimentLogger, "_open", lambda self, step: (on_full_disk(self, step), whole(self, step)))
    else:
        monkeypatch.setattr(ExperimentLogger, "_open", on_full_disk)
    train(session, "baseline_c")
    said = capfd.readouterr()
    assert is_finished(session, "baseline_c") and "Traceback" not in said.err
    assert said.out.count(f"{folder}/tensorboard: ") == 1


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from trnet.train.experiment_logger import ExperimentLogger

resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # as ulimit -f: EFBIG
with ExperimentLogger(Path(sys.argv[1]), 0) as board:
    for epoch in range(3):
        board.audio("noisy", "utt", np.zeros(16000, np.float32), epoch)
        board.scalars({"loss": 1.0}, epoch)
print("trained")
"""


def test_a_limit_on_the_size_of_files_is_said_once_and_no_thread_shows_a_traceback(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=120)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "trained" in done.stdout
    assert done.stdout.count("(File too large)") == 1


def test_a_project_that_cannot_be_reached_is_said_and_does_not_stop_a_training(tmp_path, monkeypatch, capsys):
    def fails(*_args, **_options):
        raise RuntimeError("no network\nat all")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=fails))
    with pytest.raises(TrnetError, match=r"--wandb ser: .*\(no network\)"):
        ExperimentLogger(tmp_path, 0, "", "ser")
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **_: SimpleNamespace(log=fails)))
    with ExperimentLogger(tmp_path, 0, "", "ser") as board:
        board.scalars({"loss": 1.0}, 1)
        board.scalars({"loss": 1.0}, 2)
    assert capsys.readouterr().out.count("(no network)") == 1
