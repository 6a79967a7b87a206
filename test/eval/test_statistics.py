"""statistics.csv: the numbers of Table 1 with intervals, paired tests, and what is refused."""

import csv

import numpy as np
import pandas as pd
import pytest

from trnet.eval.predictions import make_predictions, score
from trnet.eval.statistics import COLUMNS, compute_statistics, explain, write_statistics
from trnet.eval.summary import arrange, summarise
from trnet.eval.tables import make_sections, render_markdown
from trnet.utils.errors import TrnetError

CLASSES = ("ang", "hap")
CONDITIONS = (("clean", None), ("esc", 0.0), ("esc", 10.0))
FAST = {"resamples": 100, "permutations": 999}


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
                        rows.append((*where, label, pred, None, 0.5, 0.5))
    return make_predictions(rows, CLASSES)


def find(statistics, noise, snr_db, average, metric, name="TRNet"):
    """The row of one system's score."""
    rows = statistics.own(average, metric)
    at = rows["snr_db"].isna() if snr_db is None else rows["snr_db"] == snr_db
    (row,) = rows[(rows["name"] == name) & (rows["noise"] == noise) & at].itertuples()
    return row


def test_values_are_those_of_table_1():
    predictions = make({"baseline_c": 0.5, "trnet": 0.8})
    found = compute_statistics(predictions, **FAST)
    fold_mean, pooled = arrange(score(predictions)), arrange(score(predictions, by_fold=False))
    for average, results in (("speakers", fold_mean), ("pooled", pooled)):
        for metric in ("uar", "war"):
            table = summarise(results.rows, ["name", "noise"], metric)
            for name, noise in table.index:
                row = find(found, noise, None, average, metric, name)
                assert [row.value, row.std] == pytest.approx(table.loc[(name, noise)].tolist())
                assert row.low < row.value < row.high and row.resampled == "speakers"
    row = find(found, "esc", 0.0, "speakers", "uar")
    assert row.value == pytest.approx(fold_mean.per_snr("esc")["mean"]["TRNet", "0 dB"])
    assert row.speakers == 7 and row.utts == 84 and row.seeds == 2


def test_a_clear_winner_and_equal_systems():
    predictions = make({"baseline_c": 0.5, "trnet": 0.9})
    twins = predictions[predictions["system"] == "trnet"].assign(system="baseline_n")
    found = compute_statistics(pd.concat([predictions, twins]), **FAST)
    for row in found.comparisons("speakers", "uar").itertuples():
        if row.against == "baseline_n":
            assert (row.value, row.low, row.high, row.p_utts, row.p_speakers) == (0, 0, 0, 1, 1)
        else:
            assert row.low > 10 and row.p_utts < 0.01 and row.p_utts_holm <= 0.02
            assert row.p_speakers == pytest.approx(2 / 2**7)  # all seven speakers agree
            assert row.p_speakers_holm <= 4 * 2 / 2**7
    tested = {(row.against, row.noise) for row in found.comparisons("pooled", "war").itertuples()}
    assert tested == {(system, noise) for system in ("baseline_c", "baseline_n") for noise in ("clean", "esc")}
    assert not found.refused


def test_seeds_are_drawn_with_their_speaker():
    """One seed is right where the other is wrong: every speaker has 50 %, whichever are drawn."""
    rows = make({"trnet": 1.0})
    wrong = (rows["utt_id"].str[-1].astype(int) + rows["seed"]) % 2 == 1
    rows["pred"] = rows["label"].where(~wrong, rows["label"].map(dict(zip(CLASSES, CLASSES[::-1], strict=True))))
    row = find(compute_statistics(rows, **FAST), "clean", None, "pooled", "war")
    assert (row.low, row.high) == pytest.approx((50, 50)) and row.value == pytest.approx(50)


def test_one_speaker_has_no_interval_and_the_file_says_so(tmp_path):
    found = compute_statistics(make({"baseline_c": 0.5, "trnet": 0.8}, folds=1), **FAST)
    assert found.rows["low"].isna().all() and found.rows["note"].str.contains("one test speaker").all()
    tests = found.comparisons("speakers", "uar")
    assert len(tests) == 2 and tests["p_utts"].notna().all() and tests["p_speakers"].isna().all()
    write_statistics(tmp_path / "statistics.csv", found)
    text = (tmp_path / "statistics.csv").read_text()
    assert "nan" not in text and "interval impossible" in text
    rows = list(csv.DictReader(text.splitlines()))
    assert tuple(rows[0]) == COLUMNS and rows[0]["low"] == "" and len(rows) == len(found.rows)
    assert "1 test speaker" in explain(found)


def test_few_speakers_are_said_and_one_speaker_may_have_several_folds():
    predictions = make({"baseline_c": 0.5, "trnet": 0.8}, folds=2)
    found = compute_statistics(predictions, **FAST)
    assert (found.rows["resampled"] == "utterances").all() and found.rows["note"].str.contains("6").all()
    one = dict.fromkeys(predictions["utt_id"], "S1")
    assert compute_statistics(predictions, one, **FAST).rows["resampled"].isna().all()
    found = compute_statistics(predictions, {}, **FAST)
    assert found.rows.empty and "f1u0" in found.refused[0]


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        (lambda rows: rows["fold"].isin(["2", "7"]), "the second lacks fold 2 (12 utterances), fold 7 (12 utterances)"),
        (lambda rows: rows["utt_id"] == "f3u4", "the second lacks fold 3 (f3u4)"),
        (lambda rows: rows["seed"] == 2, "the second lacks seed 2"),
        (lambda rows: rows["snr_db"] == 10, "the second lacks esc 10 dB"),
    ],
)
def test_a_paired_test_names_what_is_missing(drop, said):
    predictions = make({"baseline_c": 0.5, "trnet": 0.8})
    rows = predictions[(predictions["system"] == "trnet") | ~drop(predictions)]
    found = compute_statistics(rows, **FAST)
    assert len(found.refused) == 1 and said in found.refused[0]
    assert "TRNet (the first) against Baseline-c (the second)" in found.refused[0]
    assert found.comparisons("speakers", "uar").empty
    assert find(found, "clean", None, "speakers", "uar", "Baseline-c")
    text = render_markdown({}, make_sections(rows, arrange(score(predictions)), None, None, found))
    assert said in text and "Paired tests" not in text


def test_a_system_with_uneven_seeds_has_no_interval():
    predictions = make({"baseline_c": 0.5, "trnet": 0.8}, folds=2)
    absent = (predictions["system"] == "trnet") & (predictions["fold"] == "2") & (predictions["seed"] == 2)
    found = compute_statistics(predictions[~absent], **FAST)
    assert "TRNet" in found.refused[0] and "seed 2, clean lacks fold 2 (12 utterances)" in found.refused[0]
    assert set(found.rows["system"]) == {"baseline_c"}


def test_nothing_to_compare_with_and_too_few_resamples():
    assert "no comparison" in compute_statistics(make({"baseline_c": 0.5}), **FAST).refused[0]
    with pytest.raises(TrnetError, match="--resamples 10: .*100"):
        compute_statistics(make({"trnet": 0.5}, folds=1), resamples=10)


def test_results_md_holds_intervals_and_tests():
    predictions = make({"baseline_c": 0.5, "trnet": 0.9})
    found = compute_statistics(predictions, **FAST)
    text = render_markdown({}, make_sections(predictions, arrange(score(predictions)), None, None, found))
    row = find(found, "clean", None, "speakers", "uar")
    assert f"| **{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]** |" in text
    test = next(found.comparisons("speakers", "uar").itertuples())
    assert f"| TRNet - Baseline-c | clean | {test.value:+.2f} [{test.low:.2f}, {test.high:.2f}] |" in text
    assert "7 test speakers" in text
