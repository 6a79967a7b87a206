"""Stages 5 to 7 killed without warning, each at a file it is about to write: the same results.csv in the end."""

import multiprocessing
import signal
import time
from collections.abc import Callable
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


def killed_at(main: Callable, options: list[str], there: Path) -> bool:
    """Run a stage in a process of its own and kill it once that file is there; False if it ended before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([train.__name__, score.__name__])  # imported once for all stages
    process = context.Process(target=main, args=(options,))
    process.start()
    while process.is_alive() and not there.exists():
        time.sleep(0.002)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_in_each_stage_and_run_again_the_scores_are_the_same(stages, tmp_path):
    main = {"train": train.main, "score": score.main}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for verb, *options in stages(whole):
        assert main[verb](options) == 0
    marks = ["raw/baseline_c/fold1_seed1/best.pt", "none/trnet_wo_high/fold1_seed1/last.pt", "none/results.csv"]
    for command, mark in zip(stages(parts), marks, strict=True):
        assert killed_at(main[command[0]], command[1:], parts / mark)
        assert main[command[0]](command[1:]) == 0
    names = ("results.csv", "predictions.csv", "statistics.csv")
    for name in names:
        assert (parts / "none" / name).read_bytes() == (whole / "none" / name).read_bytes()
