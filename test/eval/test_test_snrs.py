"""SNRs that are only tested: rows and columns of their own, no part in any mean over SNRs."""

import numpy as np
import pandas as pd
import pytest

from trnet.eval.predictions import make_predictions, read_results, score
from trnet.eval.report import write_report
from trnet.eval.statistics import compute_statistics
from trnet.eval.summary import arrange
from trnet.eval.tables import make_sections

CLASSES = ("ang", "hap", "neu", "sad")
FAST = {"resamples": 100, "permutations": 100}


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    """Two systems on 0, 10 and -5 dB; at the last TRNet is never right."""
    rng = np.random.default_rng(7)
    rows = []
    for system, chance in (("baseline_n", 0.5), ("trnet", 0.8)):
        for noise, snr in (("clean", None), ("esc", 0.0), ("esc", 10.0), ("esc", -5.0)):
            for i in range(24):
                label = CLASSES[i % 4]
                right = rng.random() < chance and (system, snr) != ("trnet", -5.0)
                pred = label if right else CLASSES[(i + 1) % 4]
                c = snr and 0.5 + snr / 20 if system == "trnet" else None
                rows.append((system, "mmse", "1", 1, noise, snr, f"u{i}", label, pred, c, *[0.25] * 4))
    return make_predictions(rows, CLASSES)


def tables(predictions, test_snrs=()):
    results = arrange(score(predictions), test_snrs=test_snrs)
    statistics = compute_statistics(predictions, **FAST, test_snrs=test_snrs)
    styles = dict.fromkeys(predictions["utt_id"], "scripted")
    sections = make_sections(predictions, results, None, styles, statistics)
    return statistics, {section.title: section.table for section in sections if section.table}


def test_means_are_those_of_the_other_snrs(predictions):
    statistics, found = tables(predictions, [-5.0])
    without, expected = tables(predictions[predictions["snr_db"] != -5])
    assert list(found) == list(expected)
    for title, table in found.items():
        if title.startswith(("UAR per SNR", "SNR coefficient")):
            assert "-5 dB" in table.header and set(expected[title].header) < set(table.header)
        else:
            assert table == expected[title]
    rows = statistics.rows[statistics.rows["snr_db"] != -5].reset_index(drop=True)
    assert len(rows) < len(statistics.rows)
    means = rows["snr_db"].isna()
    pd.testing.assert_series_equal(rows["value"][means], without.rows["value"][means])
    assert tables(predictions)[1]["Table 1: mean over folds"] != expected["Table 1: mean over folds"]


@pytest.mark.slow
def test_results_have_all_rows_and_the_report_tells_them_apart(predictions, tmp_path):
    write_report(tmp_path, predictions, {}, **FAST, test_snrs=[-5.0])
    assert (read_results(tmp_path / "results.csv")["snr_db"] == -5).sum() == 2
    table_1, _, rest = (tmp_path / "RESULTS.md").read_text().partition("\n## ")[2].partition("\n## ")
    assert "-5 dB" in table_1 and "TRNet has the largest mean UAR in noise" in rest
