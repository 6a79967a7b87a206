"""Many runs at a time: the same bits as one by one, and one that fails does not stop the others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import change_features

from trnet.bin import train
from trnet.train import loop
from trnet.utils.workers import own_share


@pytest.fixture
def command(tiny, tmp_path):
    """Options of trnet.bin.train for two epochs of Baseline-c, with a folder of runs of their own."""

    def make(exp: str, *more: str, dump: Path | None = None) -> list[str]:
        folders = [*tiny.folders(dump), "--exp", str(tmp_path / exp)]
        return [*folders, "--part", "teacher", "--systems", "baseline_c", "--max-epochs", "2", *more]

    return make


def weights(exp: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Of each run's last epoch."""
    found = sorted(exp.glob("raw/baseline_c/*/last.pt"))
    return {path.parent.name: torch.load(path, weights_only=True)["model"] for path in found}


def assert_same(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for run in first:
        assert all(torch.equal(first[run][key], second[run][key]) for key in first[run])


@pytest.fixture
def one_by_one(command, tmp_path):
    assert train.main(command("alone", "--folds", "1 3", "--seeds", "1 2")) == 0
    found = weights(tmp_path / "alone")
    assert len(found) == 4
    return found


@pytest.mark.slow
def test_two_runs_at_a_time_give_the_bits_of_one_by_one(command, one_by_one, tmp_path):
    assert train.main(command("together", "--folds", "1 3", "--seeds", "1 2", "--nj", "2")) == 0
    assert_same(weights(tmp_path / "together"), one_by_one)


@pytest.mark.slow
def test_torchrun_splits_the_runs(command, one_by_one, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = command("split", "--folds", "1 3", "--seeds", "1 2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*torchrun, "-m", "trnet.bin.train", *options], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "up to date" not in done.stdout  # none was taken twice
    assert_same(weights(tmp_path / "split"), one_by_one)


@pytest.mark.slow
def test_under_torchrun_a_run_that_fails_does_not_stop_the_others(command, tiny, tmp_path, broken):
    """The first process has nothing but the failing run; the second one's run takes longer."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "trnet.bin.train", *command("exp", "--folds", "1 6", dump=broken)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "fold 1 seed 1: loss is not finite" in done.stderr
    assert set(weights(tmp_path / "exp")) == {"fold6_seed1"}
    history = torch.load(tmp_path / "exp/raw/baseline_c/fold6_seed1/last.pt", weights_only=True)["history"]
    assert len(history) == 2


def test_the_shares_of_all_processes_are_all_jobs_once(monkeypatch):
    assert own_share(range(7)) == list(range(7))
    shares = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        shares += own_share(range(7))
    assert sorted(shares) == list(range(7))


@pytest.fixture
def broken(tiny, tmp_path) -> Path:
    """Features of S3M that are not finite: fold 1 trains on them, fold 6 (S3M tests, S3F validates) does not."""
    dump = tmp_path / "dump"
    shutil.copytree(tiny.dump, dump, ignore=shutil.ignore_patterns("wav"))
    change_features(dump / "raw" / "tiny", "S3M-sad_1", lambda matrix: np.full_like(matrix, np.nan))
    return dump


@pytest.mark.slow
@pytest.mark.parametrize("nj", ["1", "2"])
def test_a_run_that_fails_does_not_stop_the_others(command, broken, tmp_path, nj, capsys):
    assert train.main(command("exp", "--folds", "1 6", "--nj", nj, dump=broken)) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "baseline_c fold 1 seed 1: loss is not finite on" in error and "S3M-sad_1(clean)" in error
    assert "1 of 2 runs failed; the others are done" in error
    assert set(weights(tmp_path / "exp")) == {"fold6_seed1"}


def test_a_run_without_the_memory_does_not_stop_the_others(command, tmp_path, monkeypatch, capsys):
    """Where it is not a step that the memory is too little for, for which training begins the epoch again."""
    begin = loop.Trajectory._begin

    def scarce(self):
        if self.runs[0].fold.number == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore of it")
        begin(self)

    monkeypatch.setattr(loop.Trajectory, "_begin", scarce)
    assert train.main(command("exp", "--folds", "1 6", "--nj", "1")) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "Tried to allocate 2 GiB. Lower training.batch_size" in error and "1 of 2 runs failed" in error
    assert set(weights(tmp_path / "exp")) == {"fold6_seed1"}


def test_a_run_that_fails_as_nobody_expected_does_not_stop_the_others(command, tmp_path, monkeypatch, capsys):
    begin = loop.Trajectory._begin

    def broken(self):
        if self.runs[0].fold.number == 1:
            raise ZeroDivisionError("a bug\nof ours")
        begin(self)

    monkeypatch.setattr(loop.Trajectory, "_begin", broken)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert train.main(command("exp", "--folds", "1 6", "--nj", "1")) == 1
    error = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: a bug (1 of 2 runs failed" in error and "Traceback" not in error
    assert list(tmp_path.glob("trnet-*/error-*.log")) and set(weights(tmp_path / "exp")) == {"fold6_seed1"}


def test_features_of_all_runs_are_read_once(tiny, tmp_path, monkeypatch):
    """Not again for each fold, whose speakers differ, nor for each system."""
    experiment = tiny.experiment(tmp_path, max_epochs=1)
    groups = experiment.groups(["baseline_n", "trnet_wo_high"], experiment.folds, [1])
    read, whole = [], type(experiment.archives).matrix
    monkeypatch.setattr(
        type(experiment.archives), "matrix", lambda self, *item: read.append(item) or whole(self, *item)
    )
    for group in groups[:4]:
        train.train_group(experiment, groups, group, None)
    sets = 6  # noisy and enhanced, clean and two SNRs
    assert len(read) <= sets * len(experiment.data.utts) + 1


def test_what_is_finished_is_said_and_starts_no_process(command, one_by_one, capsys, monkeypatch):
    monkeypatch.setattr("trnet.utils.workers.imap", lambda *_: pytest.fail("a process for nothing"))
    assert train.main(command("alone", "--folds", "1 3", "--seeds", "1 2", "--nj", "2")) == 0
    assert capsys.readouterr().out.count("up to date") == 4
