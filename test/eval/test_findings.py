"""What a report says of who is best: no winner is named that the paired tests do not support."""

import numpy as np
import pandas as pd
import pytest

from trnet.eval.findings import headline, make_findings, parse_notes
from trnet.eval.predictions import make_predictions, score
from trnet.eval.statistics import compute_statistics
from trnet.eval.summary import arrange

CLASSES = ("ang", "hap")


def predictions_of(skill, folds=7, noises=("esc",), utts=16):
    """Predictions of systems that are right with the probability `skill` names."""
    rng = np.random.default_rng(0)
    rows = []
    for system, chance in skill.items():
        for fold in range(1, folds + 1):
            for noise, snr in (("clean", None), *((noise, 0.0) for noise in noises)):
                for i in range(utts):
                    label = CLASSES[i % 2]
                    pred = label if rng.random() < chance else CLASSES[1 - i % 2]
                    where = (system, "mmse", str(fold), 1, noise, snr, f"f{fold}u{i}")
                    c = 0.9 if snr is None else 0.2
                    rows.append((*where, label, pred, c if system == "trnet" else None, 0.5, 0.5))
    return make_predictions(rows, CLASSES)


def findings_of(predictions, notes="", **expected):
    results = arrange(score(predictions), **expected)
    statistics = compute_statistics(predictions, resamples=100, permutations=999)
    return make_findings(predictions, results, statistics, parse_notes(notes))


def test_a_clear_winner_is_named_with_those_it_beats():
    sentence = findings_of(predictions_of({"baseline_c": 0.3, "baseline_n": 0.4, "trnet": 0.95}))[0]
    assert sentence.startswith("TRNet") and "7 test speakers" in sentence
    assert "more than chance above Baseline-c and Baseline-n" in sentence and "not more" not in sentence
    assert "not over speakers" in sentence  # of seven the smallest p is 2/128, times four comparisons
    sentence = findings_of(predictions_of({"baseline_c": 0.2, "trnet": 0.95}, folds=10))[0]
    assert sentence.startswith("TRNet") and "over speakers too" in sentence


def test_a_lead_that_chance_would_give_is_no_win():
    sentence = findings_of(predictions_of({"baseline_c": 0.3, "baseline_e": 0.7, "trnet": 0.73}))[0]
    assert "not more than chance above" in sentence or "No winner" in sentence
    level = findings_of(predictions_of({"baseline_e": 0.7, "trnet": 0.73}))[0]
    assert level.startswith("No winner")


def test_a_better_baseline_is_compared_with_trnet_alone():
    sentence = findings_of(predictions_of({"baseline_c": 0.3, "baseline_n": 0.95, "trnet": 0.4}))[0]
    assert sentence.startswith("Baseline-n") and "more than chance above TRNet" in sentence
    assert "not tested against Baseline-c" in sentence


def test_two_speakers_are_a_test_of_their_utterances():
    sentence = findings_of(predictions_of({"baseline_c": 0.2, "trnet": 0.95}, folds=2))[0]
    assert "utterances of 2 test speakers" in sentence and "not over speakers" in sentence


def test_equals_share_and_systems_without_a_test_do_not_win():
    rows = predictions_of({"baseline_c": 0.6})
    twin = pd.concat([rows, rows.assign(system="trnet")])
    found = findings_of(twin)
    assert "Baseline-c and TRNet" in found[0] and found[0].startswith("No winner")
    assert any("clean" in line and "Baseline-c and TRNet" in line for line in found[1:])
    assert findings_of(predictions_of({"baseline_c": 0.3, "baseline_n": 0.9}))[0].startswith("No winner")
    assert "Baseline-c" in findings_of(rows)[0] and "no other system" in findings_of(rows)[0]


def test_a_system_that_lacks_runs_cannot_win():
    rows = predictions_of({"baseline_c": 0.9, "baseline_e": 0.3, "trnet": 0.6})
    rows = rows[(rows["system"] != "baseline_c") | (rows["fold"] != "3")]
    found = findings_of(rows)
    assert found[0].startswith("TRNet")
    assert any("Baseline-c (6 of 7 folds)" in line for line in found)


@pytest.mark.parametrize(("noises", "what"), [((), "clean"), (("esc", "musan"), "esc")])
def test_findings_are_few_and_name_c(noises, what):
    found = findings_of(predictions_of({"baseline_c": 0.4, "trnet": 0.8}, noises=noises), "A note.\n")
    assert len(found) <= 15 and what in found[0] and "A note." in found
    assert any("0.900" in line and "0.200" in line for line in found) == bool(noises)


def test_notes_describe_noise_sets():
    notes = parse_notes("One line,\nanother.\n\nnoise esc: synthetic, hums and clicks\n")
    assert notes.text == "One line, another."
    assert notes.label("esc") == "esc (synthetic)" and notes.label("musan") == "musan"
    rows = predictions_of({"baseline_c": 0.4, "trnet": 0.8})
    found = findings_of(rows, "noise esc: synthetic, hums\nnoise wind: real\n")
    assert any("esc is synthetic, hums" in line for line in found) and not any("wind" in line for line in found)


def test_the_headline_is_one_sentence_whatever_the_order_of_rows():
    rows = predictions_of({"baseline_c": 0.4, "trnet": 0.8})
    statistics = compute_statistics(rows, resamples=100, permutations=255)
    one = headline(arrange(score(rows)), statistics)
    assert one == headline(arrange(score(rows[::-1])), statistics) and "\n" not in one and one.endswith(".")
