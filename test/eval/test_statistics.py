"""statistics.csv: the numbers of Table 1 with intervals, paired tests, and what is refused."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from trnet.eval.predictions import Prediction, Predictions, score
from trnet.eval.statistics import COLUMNS, compute_statistics, explain, write_statistics
from trnet.eval.summary import make_board, summarise
from trnet.eval.tables import make_sections, render_markdown
from trnet.utils.errors import TrnetError

CLASSES = ("ang", "hap")
CONDITIONS = (("clean", None), ("esc", 0.0), ("esc", 10.0))
FAST = {"resamples": 200, "permutations": 999}


def make(skill, folds=7, seeds=(1, 2), utts=12):
    """Predictions of systems that are right with the probability `skill` names."""
    rng = np.random.default_rng(0)
    rows = []
    for system, chance in skill.items():
        for fold in range(1, folds + 1):
            for seed in seeds:
                for noise, snr in CONDITIONS:
                    for i in range(utts):
                        label = CLASSES[int(i % 3 == 0)]
                        pred = label if rng.random() < chance else CLASSES[1 - int(i % 3 == 0)]
                        where = (system, "mmse", str(fold), seed, noise, snr, f"f{fold}u{i}")
                        rows.append(Prediction(*where, label, pred, None, (0.5, 0.5)))
    return Predictions(CLASSES, rows)


def test_values_are_those_of_table_1():
    predictions = make({"baseline_c": 0.5, "trnet": 0.8})
    found = compute_statistics(predictions, **FAST)
    fold_mean, pooled = make_board(score(predictions)), make_board(score(predictions, by_fold=False))
    for average, board in (("speakers", fold_mean), ("pooled", pooled)):
        for group in board.groups:
            for noise in ("clean", "esc"):
                for metric in ("uar", "war"):
                    chosen = board.select(group, lambda row, noise=noise: row.noise == noise)
                    row = found.find(group, noise, None, average, metric)
                    assert (row.value, row.std) == pytest.approx(summarise(chosen, metric))
                    assert row.low < row.value < row.high and row.resampled == "speakers"
    at_0 = fold_mean.select(("trnet", "mmse"), lambda row: row.snr_db == 0)
    row = found.find(("trnet", "mmse"), "esc", 0.0, "speakers", "uar")
    assert row.value == pytest.approx(summarise(at_0, "uar")[0])
    assert row.speakers == 7 and row.utts == 84 and row.seeds == 2


def test_a_clear_winner_and_equal_systems():
    predictions = make({"baseline_c": 0.5, "trnet": 0.9})
    twins = [replace(row, system="baseline_n") for row in predictions.rows if row.system == "trnet"]
    found = compute_statistics(Predictions(CLASSES, predictions.rows + twins), **FAST)
    for row in found.comparisons("speakers", "uar"):
        if row.against == "baseline_n":
            assert (row.value, row.low, row.high, row.p_utts, row.p_speakers) == (0, 0, 0, 1, 1)
        else:
            assert row.low > 10 and row.p_utts < 0.01 and row.p_utts_holm <= 0.02
            assert row.p_speakers == pytest.approx(2 / 2**7)  # all seven speakers agree
            assert row.p_speakers_holm <= 4 * 2 / 2**7
    tested = {(row.against, row.noise) for row in found.comparisons("pooled", "war")}
    assert tested == {(system, noise) for system in ("baseline_c", "baseline_n") for noise in ("clean", "esc")}
    assert not found.refused


def test_seeds_are_drawn_with_their_speaker():
    """One seed is right where the other is wrong: every speaker has 50 %, whichever are drawn."""
    rows = []
    for row in make({"trnet": 1.0}).rows:
        wrong = (int(row.utt_id[-1]) + row.seed) % 2
        pred = CLASSES[1 - CLASSES.index(row.label)] if wrong else row.label
        rows.append(replace(row, pred=pred))
    row = compute_statistics(Predictions(CLASSES, rows), **FAST).find(("trnet", "mmse"), "clean", None, "pooled", "war")
    assert (row.low, row.high) == pytest.approx((50, 50)) and row.value == pytest.approx(50)


def test_one_speaker_has_no_interval_and_the_file_says_so(tmp_path):
    found = compute_statistics(make({"baseline_c": 0.5, "trnet": 0.8}, folds=1), **FAST)
    assert all(row.low is None and row.note == "interval impossible: one test speaker" for row in found.rows)
    assert all(row.p_utts is not None and row.p_speakers is None for row in found.comparisons("speakers", "uar"))
    write_statistics(tmp_path / "statistics.csv", found)
    text = (tmp_path / "statistics.csv").read_text()
    assert "nan" not in text and "interval impossible" in text
    rows = list(csv.DictReader(text.splitlines()))
    assert tuple(rows[0]) == COLUMNS and rows[0]["low"] == "" and len(rows) == len(found.rows)
    assert "1 test speaker, no interval" in explain(found)


def test_few_speakers_are_said_and_one_speaker_may_have_several_folds():
    predictions = make({"baseline_c": 0.5, "trnet": 0.8}, folds=2)
    found = compute_statistics(predictions, **FAST)
    assert found.rows[0].resampled == "utterances" and "over speakers it takes 6" in found.rows[0].note
    one = dict.fromkeys((row.utt_id for row in predictions.rows), "S1")
    assert compute_statistics(predictions, one, **FAST).rows[0].resampled is None
    found = compute_statistics(predictions, {}, **FAST)
    assert not found.rows and "f1u0 has no speaker in utt2spk" in found.refused[0]


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        (lambda row: row.fold in ("2", "7"), "the second lacks fold 2 (12 utterances), fold 7 (12 utterances)"),
        (lambda row: row.utt_id == "f3u4", "the second lacks fold 3 (f3u4)"),
        (lambda row: row.seed == 2, "the second lacks seed 2"),
        (lambda row: row.snr_db == 10, "the second lacks esc 10 dB"),
    ],
)
def test_a_paired_test_names_what_is_missing(drop, said):
    predictions = make({"baseline_c": 0.5, "trnet": 0.8})
    rows = [row for row in predictions.rows if row.system == "trnet" or not drop(row)]
    found = compute_statistics(Predictions(CLASSES, rows), **FAST)
    assert len(found.refused) == 1 and said in found.refused[0]
    assert "TRNet (the first) against Baseline-c (the second)" in found.refused[0]
    assert not found.comparisons("speakers", "uar")
    assert found.find(("baseline_c", "mmse"), "clean", None, "speakers", "uar") is not None
    text = render_markdown(
        {}, make_sections(Predictions(CLASSES, rows), make_board(score(predictions)), None, None, found)
    )
    assert "## Statistics that could not be computed" in text and said in text and "Paired tests" not in text


def test_a_system_with_uneven_seeds_has_no_interval():
    predictions = make({"baseline_c": 0.5, "trnet": 0.8}, folds=2)
    rows = [row for row in predictions.rows if (row.system, row.fold, row.seed) != ("trnet", "2", 2)]
    found = compute_statistics(Predictions(CLASSES, rows), **FAST)
    assert "TRNet: no interval: seed 2, clean lacks fold 2 (12 utterances)" in found.refused[0]
    assert {row.system for row in found.rows} == {"baseline_c"}


def test_nothing_to_compare_with_and_too_few_resamples():
    assert "no comparison" in compute_statistics(make({"baseline_c": 0.5}), **FAST).refused[0]
    with pytest.raises(TrnetError, match="--resamples 10: give 100 or more"):
        compute_statistics(make({"trnet": 0.5}, folds=1), resamples=10)


def test_results_md_holds_intervals_and_tests():
    predictions = make({"baseline_c": 0.5, "trnet": 0.9})
    found = compute_statistics(predictions, **FAST)
    text = render_markdown({}, make_sections(predictions, make_board(score(predictions)), None, None, found))
    row = found.find(("trnet", "mmse"), "clean", None, "speakers", "uar")
    assert f"| {row.value:.2f} [{row.low:.2f}, {row.high:.2f}] |" in text
    test = found.comparisons("speakers", "uar")[0]
    assert f"| TRNet - Baseline-c | clean | {test.value:+.2f} [{test.low:.2f}, {test.high:.2f}] |" in text
    assert "7 test speakers, speakers resampled" in text
