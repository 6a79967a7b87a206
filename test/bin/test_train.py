"""Many runs at a time: the same bits as one by one, and one that fails does not stop the others."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from lines import assert_names
from started_python import python
from tiny import change_features

from trnet.bin import train
from trnet.train.trainer import Trainer

MANY = ("--folds", "1 6", "--seeds", "1 2")


@pytest.fixture(scope="module")
def command(tiny):
    """Options of trnet.bin.train for two epochs of Baseline-c in a folder of runs."""

    def make(exp: Path, *more: str, dump: Path | None = None) -> list[str]:
        system = ["--part", "teacher", "--systems", "baseline_c", "--max-epochs", "2"]
        return [*tiny.folders(dump), "--exp", str(exp), *system, *more]

    return make


def weights(exp: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Of each run's last epoch."""
    found = sorted(exp.glob("raw/baseline_c/*/last.pt"))
    return {path.parent.name: torch.load(path, weights_only=True)["model"] for path in found}


def assert_fold_6_is_done_as_in(whole: Path, exp: Path) -> None:
    """The runs of fold 1 have failed, those of fold 6 have the bits of others' that were trained one by one."""
    wanted, got = weights(whole), weights(exp)
    assert got.keys() == {"fold6_seed1", "fold6_seed2"}
    for run, model in got.items():
        assert all(torch.equal(model[key], wanted[run][key]) for key in model)


@pytest.fixture(scope="module")
def one_by_one(command, tmp_path_factory) -> Path:
    """Folder of four runs; not to be changed."""
    exp = tmp_path_factory.mktemp("one_by_one")
    assert train.main(command(exp, *MANY)) == 0
    assert len(weights(exp)) == 4
    return exp


@pytest.fixture(scope="module")
def broken(tiny, tmp_path_factory) -> Path:
    """Features of S3M that are not finite: fold 1 trains on them, fold 6 (S3M tests, S3F validates) does not."""
    dump = tmp_path_factory.mktemp("broken") / "dump"
    shutil.copytree(tiny.dump, dump, ignore=shutil.ignore_patterns("wav"))
    change_features(dump / "raw" / "tiny", "S3M-sad_1", lambda matrix: np.full_like(matrix, np.nan))
    return dump


@pytest.mark.slow
@pytest.mark.parametrize("nj", ["1", "2"])
def test_a_run_that_fails_stops_no_other_and_changes_no_bit_of_it(command, one_by_one, broken, tmp_path, nj, capsys):
    assert train.main(command(tmp_path, *MANY, "--nj", nj, dump=broken)) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert_names(error, "baseline_c fold 1 seed 1 S3M-sad_1(clean)")
    assert "2 of 4 runs failed" in error
    assert_fold_6_is_done_as_in(one_by_one, tmp_path)


@pytest.mark.slow
def test_so_it_is_under_torchrun_which_splits_the_runs(command, one_by_one, broken, tmp_path):
    torchrun = [python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "trnet.bin.train", *command(tmp_path, *MANY, dump=broken)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "fold 1 seed 1: loss is not finite" in done.stderr
    assert "up to date" not in done.stdout + done.stderr  # none was taken twice
    assert_fold_6_is_done_as_in(one_by_one, tmp_path)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore of it"),
            "2 GiB training.batch_size",
        ),
        (ZeroDivisionError("a bug\nof ours"), "unexpected ZeroDivisionError: bug"),
    ],
)
def test_a_fault_outside_of_a_step_does_not_stop_the_others(command, tmp_path, monkeypatch, capsys, fault, words):
    begin = Trainer.begin

    def faulty(self):
        if self.runs[0].key.fold.number == 1:
            raise fault
        begin(self)

    monkeypatch.setattr(Trainer, "begin", faulty)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert train.main(command(tmp_path, "--folds", "1 6", "--nj", "1")) == 1
    error = capsys.readouterr().err
    assert_names(error.strip().splitlines()[-1], words)
    assert "1 of 2 runs failed" in error and "Traceback" not in error
    assert weights(tmp_path).keys() == {"fold6_seed1"}
    assert bool(list(tmp_path.glob("trnet-*/error-*.log"))) == isinstance(fault, ZeroDivisionError)


def test_features_of_all_runs_are_read_once(tiny, tmp_path, monkeypatch):
    """Not again for each fold, whose speakers differ, nor for each system."""
    session = tiny.session(tmp_path, max_epochs=1)
    experiment = session.experiment
    folds = experiment.dataset.folds
    groups = experiment.groups(experiment.runs(["baseline_n", "trnet_wo_high"], folds, [1]))
    read, whole = [], type(experiment.reader).matrix
    monkeypatch.setattr(type(experiment.reader), "matrix", lambda self, *item: read.append(item) or whole(self, *item))
    for group in groups[:4]:
        train.train_group(session, groups, group, None)
    sets = 6  # noisy and enhanced, clean and two SNRs
    assert 0 < len(read) <= sets * len(experiment.dataset.utts) + 1


def test_what_is_finished_is_said_and_starts_no_process(command, one_by_one, capsys, monkeypatch):
    monkeypatch.setattr("trnet.utils.workers.imap", lambda *_: pytest.fail("a process for nothing"))
    assert train.main(command(one_by_one, *MANY, "--nj", "2")) == 0
    assert "".join(capsys.readouterr()).count("up to date") == 4


def test_the_teachers_of_all_seeds_that_a_system_needs_are_trained(command, one_by_one, tmp_path):
    seeds = ("--folds", "1", "--seeds", "1", "--systems", "trnet", "--set", "systems.trnet.teacher_seeds=[2]")
    assert train.main(command(tmp_path, *seeds)) == 0
    (found,) = weights(tmp_path).items()
    assert found[0] == "fold1_seed2" and all(
        torch.equal(value, weights(one_by_one)["fold1_seed2"][key]) for key, value in found[1].items()
    )
