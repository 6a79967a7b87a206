"""Tables of trained front-ends: one of fewer runs never takes the place of one of more."""

import pytest

from trnet.enh.evaluate import Row
from trnet.enh.metrics import Scores
from trnet.enh.report import NOISY, write_report
from trnet.utils.errors import TrnetError

NOISY_ROWS = {(NOISY, None): [Row("u1", None, Scores(1.0, 2.0, 0.5))]}


def runs(*names: tuple[str, int]) -> dict:
    return NOISY_ROWS | {name: [Row("u1", None, Scores(5.0, 3.0, 0.9))] for name in names}


def test_fewer_runs_are_written_beside(tmp_path, capsys):
    whole = runs(("cmgan", 1), ("dccrn", 1))
    assert write_report(tmp_path, whole, {}) == ""
    before = (tmp_path / "RESULTS.md").read_bytes()
    assert write_report(tmp_path, runs(("dccrn", 1)), {}) == "_dccrn"
    assert "also has systems cmgan: it stays" in capsys.readouterr().out
    assert (tmp_path / "RESULTS.md").read_bytes() == before and "cmgan" not in (
        tmp_path / "RESULTS_dccrn.md"
    ).read_text()
    assert (tmp_path / "results_dccrn.csv").is_file()
    assert write_report(tmp_path, runs(("cmgan", 2), ("dccrn", 2)), {}) == "_seed2"
    assert write_report(tmp_path, runs(("cmgan", 1), ("dccrn", 1), ("dccrn", 2)), {}) == ""
    assert "dccrn, seed 2" in (tmp_path / "RESULTS.md").read_text()


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "results.csv").write_text("frontend\n")
    with pytest.raises(TrnetError, match=r"results\.csv:1"):
        write_report(tmp_path, runs(("dccrn", 1)), {})
