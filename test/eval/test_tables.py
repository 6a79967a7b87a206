"""The numbers and the layout of RESULTS.md."""

from pathlib import Path

import pandas as pd
import pytest

from trnet.eval.predictions import RESULT, SYSTEMS, make_predictions, score
from trnet.eval.summary import arrange, summarise
from trnet.eval.tables import make_sections, make_table, read_reference, render_markdown
from trnet.utils.errors import TrnetError

PAPER = Path(__file__).parents[2] / "egs/iemocap/ser1/conf/paper_table1.csv"
CLASSES = ("ang", "hap")


def run(system, fold, seed, noise, snr, right, c=None, frontend="mmse", n=4):
    """Predictions of one run in one condition: n utterances, the first ``right`` correct."""
    rows = []
    for i in range(n):
        label = CLASSES[i % 2]
        pred = label if i < right else CLASSES[1 - i % 2]
        probs = (1.0, 0.0) if pred == "ang" else (0.0, 1.0)
        utt = f"f{fold}u{i}"
        rows.append((system, frontend, fold, seed, noise, snr, utt, label, pred, c, *probs))
    return rows


def predictions(*runs):
    return make_predictions([row for rows in runs for row in rows], CLASSES)


def render_results(predictions, header, reference=None, styles=None, folds=None, seeds=None, figures=()):
    results = arrange(score(predictions), folds, seeds)
    return render_markdown(header, make_sections(predictions, results, reference, styles), (), figures)


def table(text, title):
    """The rows of the table below a heading, as lists of cells."""
    block = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in block.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]


@pytest.fixture
def small():
    """TRNet on 2 folds and 2 seeds; Baseline-c on 1 fold; UAR is 25 % for each right answer."""
    runs = []
    for fold, seed, clean, low, high in (
        ("1", 1, 4, 2, 3),
        ("2", 1, 2, 0, 1),
        ("1", 2, 4, 4, 4),
        ("2", 2, 4, 2, 3),
    ):
        runs.append(run("trnet", fold, seed, "clean", None, clean, 1.0))
        runs.append(run("trnet", fold, seed, "esc", 0.0, low, 0.5 + 0.1 * seed))
        runs.append(run("trnet", fold, seed, "esc", 20.0, high, 0.9))
    for noise, snr in (("clean", None), ("esc", 0.0), ("esc", 20.0)):
        runs += [run("baseline_c", "1", seed, noise, snr, 2, frontend="none") for seed in (1, 2)]
    return predictions(*runs)


def test_table1_is_fold_mean_then_seeds(small):
    rows = table(render_results(small, {}), "Table 1: mean over folds")
    assert rows[0] == ["System", "Front end", "Runs", "clean UAR", "esc UAR"]  # WAR is the same everywhere
    # clean: seeds 75 and 100; esc: seed 1 (62.5 + 12.5) / 2 = 37.5, seed 2 (100 + 62.5) / 2
    clean, esc = "87.50 +- 17.68", "59.38 +- 30.94"
    assert rows[2:] == [
        ["Baseline-c", "none", "1 of 2 folds", *["50.00 +- 0.00"] * 2],
        ["TRNet", "mmse", "2 folds x 2 seeds", f"**{clean}**", f"**{esc}**"],
    ]


def test_pooled_table_scores_all_folds_at_once():
    # fold 1: only ang, all right; fold 2: ang wrong 3 of 3, hap right: means (100 + 50) / 2
    first = [r for r in run("trnet", "1", 1, "clean", None, 4) if r[7] == "ang"]
    second = [r for r in run("trnet", "2", 1, "clean", None, 0, n=6) if r[7] == "ang"]
    second += [r for r in run("trnet", "2", 1, "clean", None, 2, n=2) if r[7] == "hap"]
    text = render_results(predictions(first, second), {})
    assert table(text, "Table 1: mean over folds")[2][1:] == ["75.00", "62.50"]
    # pooled: ang 2 of 5, hap 1 of 1
    assert table(text, "Table 1, pooled over folds")[2][1:] == ["70.00", "50.00"]
    assert "SNR coefficient" not in text and "UAR per SNR" not in text


def test_what_is_constant_or_equal_is_reported_once():
    rows = predictions(
        *(
            run(system, fold, 1, "clean", None, right)
            for system, right in (("baseline_c", 2), ("trnet", 4))
            for fold in "12"
        )
    )
    text = render_results(rows, {})
    assert table(text, "Table 1: mean over folds")[0] == ["System", "clean UAR"]
    assert "## Table 1, pooled" not in text  # all figures are the same
    section = text.split("##")[1]
    assert "mmse" in section and "2 folds x 1 seed" in section and "WAR equals UAR" in section
    some = predictions(run("trnet", "1", 1, "clean", None, 4), run("trnet", "2", 1, "clean", None, 3, n=3))
    assert table(render_results(some, {}), "Table 1: mean over folds")[0] == ["System", "clean UAR"]
    uneven = predictions(run("trnet", "1", 1, "clean", None, 4), run("trnet", "2", 1, "clean", None, 2, n=3))
    text = render_results(uneven, {})
    assert table(text, "Table 1: mean over folds")[0] == ["System", "clean UAR", "clean WAR"]
    assert "## Table 1, pooled" in text


def test_the_largest_of_each_column_is_marked():
    rows = [
        ["a", ("1.00", 1.0), ("5.00", 5.0)],
        ["b", ("2.00", 2.0), ("5.00", 5.001)],
        ["c", ("-", float("nan")), ("1", 1.0)],
    ]
    assert make_table(["", "x", "y"], rows, ranked=True).best == {(1, 1), (0, 2), (1, 2)}
    assert make_table(["", "x", "y"], rows[:2], ranked=True).best == {(1, 1)}  # all of y are equal
    assert not make_table(["", "x", "y"], rows).best
    assert not make_table(["", "x", "y"], rows[:1], ranked=True).best


def test_per_snr_and_per_fold_and_c(small):
    text = render_results(small, {})
    rows = table(text, "UAR per SNR: esc")
    assert rows[0] == ["System", "0 dB", "20 dB", "clean"]
    assert rows[2][0] == "Baseline-c (1 of 2 folds)"
    assert [cell.strip("*") for cell in rows[3]] == ["TRNet", "50.00 +- 35.36", "68.75 +- 26.52", "87.50 +- 17.68"]
    rows = table(text, "UAR per fold")
    assert rows[0] == ["Fold", "Baseline-c", "TRNet"]
    assert rows[2:] == [
        ["1", "50.00 / 50.00", "100.00 / 81.25"],
        ["2", "missing", "75.00 / 37.50"],
    ]
    rows = table(text, "SNR coefficient c per SNR")
    assert rows[0] == ["System", "Noise", "0 dB", "20 dB", "clean"]
    # 8 utterances at 0.6 and 8 at 0.7
    assert rows[2:] == [["TRNet", "esc", "0.650 +- 0.052", "0.900 +- 0.000", "1.000 +- 0.000"]]


def test_missing_runs_are_named(small):
    text = render_results(small, {}, folds=["1", "2", "3"], seeds=[1, 2, 3])
    rows = table(text, "Table 1: mean over folds")
    assert [row[2] for row in rows[2:]] == [
        "1 of 3 folds, 2 of 3 seeds",
        "2 of 3 folds, 2 of 3 seeds",
    ]
    assert table(text, "UAR per fold")[2:] == [
        ["1", "50.00 / 50.00 (2 of 3 seeds)", "100.00 / 81.25 (2 of 3 seeds)"],
        ["2", "missing", "75.00 / 37.50 (2 of 3 seeds)"],
        ["3", "missing", "missing"],
    ]


def test_uneven_runs_have_no_deviation(small):
    rows = small[(small["fold"] != "2") | (small["seed"] != 2)]
    cells = table(render_results(rows, {}), "Table 1: mean over folds")[3]
    # seed 1: (100 + 50) / 2, seed 2: fold 1 alone
    assert cells[2:4] == ["3 of 4 runs", "**87.50**"]
    rows = small[(small["snr_db"] != 20) | (small["system"] != "trnet") | (small["seed"] == 1)]
    cells = table(render_results(rows, {}), "Table 1: mean over folds")[3]
    assert cells[2] == "10 of 12 conditions"
    rows = small[(small["utt_id"] != "f1u3") | (small["system"] == "trnet")]
    cells = table(render_results(rows, {}), "Table 1: mean over folds")[2]
    assert cells[2] == "1 of 2 folds, utterances missing in 6 conditions"


def test_one_seed_has_no_deviation():
    rows = [("trnet", "", fold, 1, "clean", float("nan"), 9, uar, 0.0) for fold, uar in (("1", 40.0), ("2", 60.0))]
    summary = summarise(arrange(pd.DataFrame(rows, columns=list(RESULT))).rows, ["name"], "uar")
    assert summary["mean"].tolist() == [50.0] and summary["std"].isna().all()


def test_paper_figures_stand_beside_and_missing_systems_show(small):
    reference = read_reference(PAPER)
    rows = table(render_results(small, {}, reference), "Table 1: mean over folds")
    assert rows[0][3:] == [f"{n} {m}" for n in ("clean", "esc", "musan") for m in ("UAR", "WAR")]
    assert [row[0] for row in rows[2:]] == [
        "Baseline-c", "Baseline-n", "Baseline-e", "TRNet", "TRNet w/o L_low", "TRNet w/o L_high",
    ]  # fmt: skip
    assert rows[5][3] == "**87.50 +- 17.68 (57.49)**"
    assert rows[5][-2:] == ["- (55.60)", "- (53.55)"]
    assert rows[3][:4] == ["Baseline-n", "-", "0 of 2 folds", "- (55.85)"]


def test_paper_table_is_complete():
    reference = read_reference(PAPER)
    assert set(reference) == {(s, n) for s in SYSTEMS for n in ("clean", "esc", "musan")}
    # by the paper TRNet is best in every column
    for noise in ("clean", "esc", "musan"):
        for i in range(2):
            assert max(SYSTEMS, key=lambda s, n=noise, i=i: reference[s, n][i]) == "trnet"


def test_malformed_reference(tmp_path):
    path = tmp_path / "ref.csv"
    path.write_text("system,noise,uar,war\ntrnet,clean,high,1\n")
    with pytest.raises(TrnetError, match=r"ref\.csv:2: uar: 'high'"):
        read_reference(path)
    path.write_text("system,noise,uar,war\ntrnet,clean,2,1\ntrnet,clean,2,1\n")
    with pytest.raises(TrnetError, match=r"ref\.csv:3: trnet clean"):
        read_reference(path)


def test_groups_of_utterances_are_reported_apart(small):
    styles = {f"f{f}u{i}": ("improvised" if i < 2 else "scripted") for f in "12" for i in range(4)}
    del styles["f2u3"]
    rows = table(render_results(small, {}, styles=styles), "By group of utterances")
    assert rows[0][:4] == ["Group", "System", "Utterances", "clean UAR"]
    names = [row[:3] for row in rows[2:]]
    assert names == [
        ["(no group)", "TRNet", "1"],
        ["improvised", "Baseline-c (1 of 2 folds)", "2"],
        ["improvised", "TRNet", "4"],
        ["scripted", "Baseline-c (1 of 2 folds)", "2"],
        ["scripted", "TRNet", "3"],
    ]
    assert rows[3][3] == "100.00 +- 0.00" and rows[5][3] == "0.00 +- 0.00"


def test_one_system_with_two_front_ends_is_two_rows():
    runs = [run("trnet", str(i), 1, "clean", None, i, frontend=f) for i, f in ((1, "a"), (2, "b"))]
    assert arrange(score(predictions(*runs))).names == ["TRNet (a)", "TRNet (b)"]


def test_text_is_deterministic_and_headed(small):
    header = {"commit": "abc", "note": "two\nlines"}
    text = render_results(small, header, figures=["figures/a.png"])
    assert text.startswith("# Results\n\n## Table 1") and "\n\n- commit: abc\n- note: two lines\n\n## " in text
    assert text.endswith("![a](figures/a.png)\n")
    assert render_results(small[::-1], header, figures=["figures/a.png"]) == text


def test_findings_stand_behind_the_first_table(small):
    sections = make_sections(small, arrange(score(small)))
    text = render_markdown({"commit": "abc"}, sections, ["one\nline", "two"])
    titles = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert titles[0] == sections[0].title and titles[3:] == [section.title for section in sections[1:]]
    findings = text.split(f"## {titles[1]}\n")[1].split("\n## ")[0]
    assert findings.strip() == "- one line\n- two"
