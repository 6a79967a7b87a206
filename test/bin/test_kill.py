"""Stages 5 to 7 killed without warning, each at a file it is about to write: the same results.csv in the end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trnet.bin import score, train

RUNS = ["--systems", "baseline_c trnet_wo_high", "--folds", "1", "--max-epochs", "2"]


@pytest.fixture
def stages(tiny):
    """Command lines of stages 5, 6 and 7 in a folder of runs."""

    def make(exp: Path) -> list[list[str]]:
        folders = [*tiny.folders(), "--exp", str(exp), *RUNS]
        return [
            ["train", *folders, "--part", "teacher"],
            ["train", *folders, "--part", "others"],
            ["score", *folders, "--noises", "esc", "--resamples", "100", "--permutations", "100"],
        ]

    return make


def killed_at(command: list[str], there: Path) -> bool:
    """Run a stage and kill it once that file is there; False if it ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"trnet.bin.{command[0]}", *command[1:]], stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not there.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    return process.wait() != 0


@pytest.mark.slow
def test_killed_in_each_stage_and_run_again_the_scores_are_the_same(stages, tmp_path):
    main = {"train": train.main, "score": score.main}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for verb, *options in stages(whole):
        assert main[verb](options) == 0
    marks = ["raw/baseline_c/fold1_seed1/best.pt", "none/trnet_wo_high/fold1_seed1/last.pt", "none/results.csv"]
    for command, mark in zip(stages(parts), marks, strict=True):
        assert killed_at(command, parts / mark)
        assert main[command[0]](command[1:]) == 0
    names = ("results.csv", "predictions.csv", "statistics.csv")
    for name in names:
        assert (parts / "none" / name).read_bytes() == (whole / "none" / name).read_bytes()
