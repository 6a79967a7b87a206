"""Tables of trained front-ends: one of fewer runs never takes the place of one of more."""

import math

import pandas as pd
import pytest

from trnet.enh.evaluate import read_scores
from trnet.enh.report import NOISY, render, results_csv, write_enh_report
from trnet.utils.errors import TrnetError


def scores(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["utt_id", "snr_db", "si_sdr", "pesq", "stoi"])


def runs(*names: tuple[str, int]) -> dict:
    found = dict.fromkeys(names, scores(("u1", math.nan, 5.0, 3.0, 0.9)))
    return {(NOISY, None): scores(("u1", math.nan, 1.0, 2.0, 0.5)), **found}


def test_tables_have_a_row_for_each_snr_and_leave_out_what_is_undefined():
    rows = (("u1", 0.0, 1.0, 2.0, 0.5), ("u2", 10.0, 3.0, math.nan, 0.7), ("u3", 10.0, math.inf, 4.0, 0.9))
    found = {(NOISY, None): scores(*rows), ("dccrn", 1): scores(*rows)}
    assert results_csv(found).splitlines()[1:4] == [
        "noisy,,,3,2.0000,3.0000,0.7000",
        "noisy,,0,1,1.0000,2.0000,0.5000",
        "noisy,,10,2,3.0000,4.0000,0.8000",
    ]
    text = render(found, {"Commit": "abc"})
    assert "- Commit: abc" in text and "| dccrn, seed 1 | 3 | 2.00 (+0.00) |" in text
    assert "1 of dccrn, seed 1 have no pesq" in text and "| noisy, as it is | 2.000 | 4.000 |" in text


def test_damaged_scores_are_named(tmp_path):
    (tmp_path / "scores.csv").write_text("utt_id,snr_db,si_sdr,pesq,stoi\nu1,,1.0,inf,0.5\n")
    with pytest.raises(TrnetError, match=r"scores\.csv:2"):
        read_scores(tmp_path / "scores.csv")


def test_fewer_runs_are_written_beside(tmp_path):
    whole = runs(("cmgan", 1), ("dccrn", 1))
    assert write_enh_report(tmp_path, whole, {}) == ""
    before = (tmp_path / "RESULTS.md").read_bytes()
    assert write_enh_report(tmp_path, runs(("dccrn", 1)), {}) == "_dccrn"
    assert (tmp_path / "RESULTS.md").read_bytes() == before and "cmgan" not in (
        tmp_path / "RESULTS_dccrn.md"
    ).read_text()
    assert (tmp_path / "results_dccrn.csv").is_file()
    assert write_enh_report(tmp_path, runs(("cmgan", 2), ("dccrn", 2)), {}) == "_seed2"
    assert write_enh_report(tmp_path, runs(("cmgan", 1), ("dccrn", 1), ("dccrn", 2)), {}) == ""
    assert "dccrn, seed 2" in (tmp_path / "RESULTS.md").read_text()


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "results.csv").write_text("frontend\n")
    with pytest.raises(TrnetError, match=r"results\.csv:1"):
        write_enh_report(tmp_path, runs(("dccrn", 1)), {})
