"""Trained runs that several modules score, each in a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny import Tiny

from trnet.bin import score, train
from trnet.eval import run_report
from trnet.eval.report_data import ReportData
from trnet.runs.experiment import Experiment
from trnet.runs.spec import RunSpec
from trnet.train.session import Session

SYSTEMS = ("baseline_c", "baseline_e", "trnet")
QUICK = ("--resamples", "100", "--permutations", "100")


@dataclass(frozen=True)
class Runs:
    """Three systems of the tiny corpus, trained on folds 1 and 2 for an epoch."""

    tiny: Tiny
    exp: Path

    @property
    def out(self) -> Path:
        """Where the report is."""
        return self.exp / "none"

    @property
    def options(self) -> list[str]:
        """The options that name them, but for systems and folds."""
        return [*self.tiny.folders(), "--exp", str(self.exp), "--max-epochs", "1"]

    @property
    def session(self) -> Session:
        return self.tiny.session(self.exp, max_epochs=1)

    @property
    def experiment(self) -> Experiment:
        return self.tiny.experiment(self.exp, max_epochs=1)

    def run(self, system: str, fold: int = 1) -> RunSpec:
        return self.experiment.run(system, self.experiment.dataset.folds[fold - 1], 1)

    def score(self, *more: str, systems: tuple[str, ...] = SYSTEMS, folds: str = "1 2") -> None:
        """Stage 7."""
        chosen = ["--systems", " ".join(systems), "--folds", folds, "--noises", "esc"]
        assert score.main([*self.options, *chosen, *QUICK, *more]) == 0


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory) -> Runs:
    """Not to be changed."""
    runs = Runs(tiny, tmp_path_factory.mktemp("trained") / "exp")
    chosen = [*runs.options, "--systems", " ".join(SYSTEMS), "--folds", "1 2"]
    assert train.main([*chosen, "--part", "teacher"]) == train.main([*chosen, "--part", "others"]) == 0
    return runs


@pytest.fixture(scope="module")
def runs(trained, tmp_path_factory) -> Iterator[Runs]:
    """A copy that a module may write into."""
    copy = Runs(trained.tiny, tmp_path_factory.mktemp("runs") / "exp")
    shutil.copytree(trained.exp, copy.exp, symlinks=True)
    yield copy
    shutil.rmtree(copy.exp)


@pytest.fixture(scope="module")
def plain_pictures() -> Iterator[None]:
    """Pictures, t-SNE and audio are left out: they have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trnet.eval.plots.png", lambda plots, title, *_, **__: "|".join([title, *plots]).encode())
        patch.setattr("trnet.eval.html_report.svg", lambda *_: "<svg/>")
        patch.setattr(run_report, "gather_report_data", lambda *_: ReportData())
        yield
