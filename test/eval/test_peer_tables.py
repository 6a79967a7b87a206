"""Systems from elsewhere in statistics and tables: their own seeds, some of the conditions, no effect on the others."""

import numpy as np
import pandas as pd
import pytest

from trnet.eval.findings import Notes, make_findings
from trnet.eval.plots import uar_plots
from trnet.eval.predictions import PEER, is_peer, make_predictions, read_predictions, score, write_predictions
from trnet.eval.statistics import compute_statistics, explain_tests
from trnet.eval.summary import arrange
from trnet.eval.tables import make_sections, render_markdown
from trnet.utils.errors import TrnetError

CLASSES = ("ang", "hap")
EVERY = (("clean", None), ("esc", 0.0), ("esc", 10.0), ("hum", 0.0), ("hum", 10.0))
FAST = {"resamples": 100, "permutations": 128}  # exact over 7 speakers
pytestmark = pytest.mark.slow

TITLES = {f"{PEER}probe": "Linear probe"}


def rows(system, seeds, conditions, chance, frontend="mmse", folds=range(1, 8)):
    """12 utterances a fold, right with the probability `chance`."""
    rng = np.random.default_rng(1)
    found = []
    for fold in folds:
        for seed in seeds:
            for noise, snr in conditions:
                for i in range(12):
                    label = CLASSES[i % 2]
                    pred = label if rng.random() < chance else CLASSES[1 - i % 2]
                    where = (system, frontend, str(fold), seed, noise, snr, f"f{fold}u{i}")
                    found.append((*where, label, pred, None, *([np.nan] * 2 if is_peer(system) else [0.5, 0.5])))
    return make_predictions(found, CLASSES)


@pytest.fixture(scope="module")
def trained() -> pd.DataFrame:
    """Two systems with two seeds."""
    return pd.concat([rows("baseline_n", (1, 2), EVERY, 0.5), rows("trnet", (1, 2), EVERY, 0.8)])


def with_peer(trained, conditions=EVERY, seeds=(0,), chance=0.6, folds=range(1, 8)) -> pd.DataFrame:
    """And one from elsewhere."""
    peer = rows(f"{PEER}probe", seeds, conditions, chance, "", folds)
    return pd.concat([trained, peer], ignore_index=True)


def tables(predictions, statistics=None):
    """The rows of each table, by the first column."""
    results = arrange(score(predictions), titles=TITLES)
    sections = make_sections(predictions, results, None, dict.fromkeys(predictions["utt_id"], "acted"), statistics)
    found = {section.title: section.table for section in sections if section.table}
    return {
        title: {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}
        for title, table in found.items()
    }


def test_one_run_is_compared_with_the_mean_of_two_seeds(trained):
    predictions = with_peer(trained)
    found = compute_statistics(predictions, **FAST, titles=TITLES)
    assert not found.refused
    right = predictions.assign(right=100.0 * (predictions["label"] == predictions["pred"]))
    mean = right.groupby(["system", "noise", "fold", "label"])["right"].mean().groupby(["system", "noise"]).mean()
    compared = found.comparisons("speakers", "uar")
    compared = compared[compared["against"] == f"{PEER}probe"].set_index("noise")
    for noise in ("clean", "esc", "hum"):
        row = compared.loc[noise]
        assert row["value"] == pytest.approx(mean["trnet", noise] - mean[f"{PEER}probe", noise])
        assert row["low"] < row["value"] < row["high"] and np.isnan(row["std"])
        assert "2 seeds" in row["note"] and "1 run" in row["note"] and row["seeds"] == 2
        assert 0 < row["p_speakers"] <= row["p_speakers_holm"] <= 1
    assert "elsewhere" in explain_tests(found) and "elsewhere" not in explain_tests(compute_statistics(trained, **FAST))


def test_a_peer_that_equals_a_system_in_each_run_differs_in_nothing(trained):
    twin = trained[trained["system"] == "trnet"].assign(system=f"{PEER}probe", frontend="")
    found = compute_statistics(pd.concat([trained, twin]), **FAST).comparisons("pooled", "war")
    same = found[found["against"] == f"{PEER}probe"]
    assert len(same) == 3 and (same["value"] == 0).all() and (same["p_utts"] == 1).all()


def test_the_rows_of_the_others_stay_as_they_are(trained):
    """Their Holm adjustment too: it is a family of its own."""
    before, after = (compute_statistics(some, **FAST).rows for some in (trained, with_peer(trained, seeds=(4, 9))))
    others = after[~after["system"].map(is_peer) & ~after["against"].map(is_peer)]
    pd.testing.assert_frame_equal(others.reset_index(drop=True), before)
    scores = score(with_peer(trained))
    pd.testing.assert_frame_equal(scores[~scores["system"].map(is_peer)], score(trained))
    now, then = tables(with_peer(trained, chance=0.1)), tables(trained)
    for title in ("UAR per SNR: esc", "UAR per SNR: hum"):
        assert {name: now[title][name] for name in then[title]} == then[title] and len(now[title]) == 3


def test_seeds_of_a_peer_are_lacking_nowhere(trained):
    results = arrange(score(with_peer(trained, seeds=(0,))), titles=TITLES)
    name = "Linear probe (predictions from elsewhere)"
    assert results.names == ["Baseline-n", "TRNet", name] and results.peers == [name]
    assert results.seeds == [1, 2] and not any(results.gaps(name) for name in results.names)
    assert results.runs("TRNet") == "7 folds x 2 seeds" and results.runs(name) == "7 folds x 1 run"


def test_conditions_that_a_peer_lacks_are_dashes_and_no_part_of_a_mean(trained):
    """It has clean speech, esc whole and hum at one SNR: no mean of hum, and none over all noisy conditions."""
    predictions = with_peer(trained, (("clean", None), ("esc", 0.0), ("esc", 10.0), ("hum", 0.0)))
    name = "Linear probe (predictions from elsewhere)"
    shown = f"{name} (4 of 5 conditions)"
    found = compute_statistics(predictions, **FAST, titles=TITLES)
    every = tables(predictions, found)
    first = every["Table 1: mean over folds"][name]
    assert first["hum UAR"] == "-" and "-" not in (first["clean UAR"], first["esc UAR"])
    assert first["Runs"] == "7 folds x 1 run, 4 of 5 conditions"
    assert every["UAR per SNR: hum"][shown]["10 dB"] == "-" != every["UAR per SNR: hum"][shown]["0 dB"]
    assert all(row[name].endswith(" / -") for row in every["UAR per fold"].values())
    assert all("-" not in row["TRNet"] for row in every["UAR per fold"].values())
    assert every["95 % intervals: mean over speakers"][name]["hum UAR"] == "-"
    compared = found.comparisons("speakers", "uar")
    assert set(compared["noise"][compared["against"] == f"{PEER}probe"]) == {"clean", "esc"} and not found.refused
    assert set(compared["noise"][compared["against"] == "baseline_n"]) == {"clean", "esc", "hum"}


@pytest.mark.parametrize("conditions", [(("esc", 0.0), ("esc", 10.0)), (("hum", 10.0),), (("clean", None),)])
def test_any_of_the_conditions_will_do(trained, conditions):
    predictions = with_peer(trained, conditions, chance=1.0)
    results, statistics = arrange(score(predictions)), compute_statistics(predictions, **FAST)
    text = render_markdown({}, make_sections(predictions, results, None, None, statistics))
    assert "probe (predictions from elsewhere)" in text
    assert len(statistics.refused) == (conditions == (("hum", 10.0),))
    assert len(uar_plots(results, statistics)) == 2
    head, *rest = make_findings(predictions, results, statistics, Notes())
    assert head.startswith("TRNet has")  # the only one with all means
    assert any("Not trained here" in line and "probe" in line for line in rest)


def test_other_folds_give_no_test_and_say_so(trained):
    predictions = with_peer(trained, folds=(1, 2))
    assert "2 of 7 folds" in arrange(score(predictions)).gaps("probe (predictions from elsewhere)")
    (refused,) = compute_statistics(predictions, **FAST).refused
    assert "probe" in refused and "fold 3" in refused


def test_curves_are_drawn_for_what_is_there(trained):
    from matplotlib.figure import Figure

    predictions = with_peer(trained, (("esc", 0.0), ("esc", 10.0)))
    draws = uar_plots(arrange(score(predictions)), compute_statistics(predictions, **FAST))
    labels = {}
    for noise, draw in draws.items():
        axes = Figure().add_subplot()
        draw(axes)
        labels[noise] = [label for label in axes.get_legend_handles_labels()[1] if "probe" in label]
    assert len(labels["esc"]) == 1 and labels["hum"] == []


def test_only_a_peer_may_have_no_probabilities(trained, tmp_path):
    write_predictions(tmp_path / "p.csv", with_peer(trained))
    assert read_predictions(tmp_path / "p.csv").groupby("system")["ang"].count()[f"{PEER}probe"] == 0
    text = (tmp_path / "p.csv").read_text()
    for old, new in ((f"{PEER}probe", "probe"), (",,,\n", ",,1,\n")):
        (tmp_path / "q.csv").write_text(text.replace(old, new))
        with pytest.raises(TrnetError, match=r"q\.csv:[0-9]+: probabilities"):
            read_predictions(tmp_path / "q.csv")
