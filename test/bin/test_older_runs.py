"""A dump and runs that trnet made before its rebuilding (commit e43e927, test/data/e43e927.tar.xz) are taken up."""

import csv
import hashlib
import tarfile
from pathlib import Path

import pytest

from trnet.bin import score, train

ARCHIVE = Path(__file__).parents[1] / "data/e43e927.tar.xz"
RUNS = ["--config", "tiny.yaml", "--corpus-data", "data/tiny", "--folds", "1"]  # relative, as they were then
CHECKPOINTS = ("exp/raw/baseline_c/fold1_seed1/best.pt", "exp/none/trnet/fold1_seed1/best.pt")


@pytest.fixture
def older(tmp_path, monkeypatch):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digests(root: Path) -> list[str]:
    return [hashlib.sha256((root / name).read_bytes()).hexdigest() for name in CHECKPOINTS]


def test_finished_runs_are_up_to_date_and_scored_without_training(older, capsys):
    before = digests(older)
    for part in ("teacher", "others"):
        train.main([*RUNS, "--part", part])
    assert capsys.readouterr().out.count("up to date") == 2
    score.main([*RUNS, "--noises", "esc", "--resamples", "100", "--permutations", "100"])
    assert digests(older) == before and (older / "exp/none/RESULTS.md").is_file()


@pytest.mark.slow
def test_they_go_on_to_more_epochs(older):
    history = older / "exp/none/trnet/fold1_seed1/history.csv"
    before = list(csv.DictReader(history.open()))
    train.main([*RUNS, "--max-epochs", "3", "--systems", "trnet", "--part", "teacher"])
    train.main([*RUNS, "--max-epochs", "3", "--systems", "trnet"])
    # the teacher's chosen epoch may be a later one now, with which the student begins anew
    rows = list(csv.DictReader((older / "exp/raw/baseline_c/fold1_seed1/history.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    after = list(csv.DictReader(history.open()))
    assert len(before) == 2 and len(after) == 3
