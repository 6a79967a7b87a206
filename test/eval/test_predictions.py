"""Reading, writing and scoring predictions.csv and results.csv."""

import os

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from trnet.eval.predictions import (
    PREDICTION,
    make_predictions,
    natural_key,
    read_predictions,
    read_results,
    score,
    write_predictions,
    write_results,
)
from trnet.utils import files
from trnet.utils.errors import TrnetError

HEADER = "system,frontend,fold,seed,noise,snr_db,utt_id,label,pred,c,ang,hap"
GOOD = "trnet,mmse,1,7,esc,5,u1,ang,hap,0.8,0.25,0.75"
ROW = dict(zip(PREDICTION, ("trnet", "mmse", "1", 7, "esc", 5.0, "u1", "ang", "hap", 0.8), strict=True))
PROBS = (0.25, 0.75)


def frame(*changes, probs=PROBS):
    """A row for each mapping of changes to ROW."""
    return make_predictions([(*(ROW | change).values(), *probs) for change in changes], ("ang", "hap"))


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def failure(path, *others):
    with pytest.raises(TrnetError) as caught:
        read_predictions([path, *others])
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_written_rows_are_read_back(tmp_path):
    clean = {"system": "baseline_c", "frontend": "", "noise": "clean", "snr_db": None, "c": None}
    rows = frame({}, clean, {"snr_db": -2.5, "fold": "Ses01F"})
    path = tmp_path / "new" / "predictions.csv"
    write_predictions(path, rows)
    assert path.read_text().splitlines()[:2] == [
        HEADER,
        "trnet,mmse,1,7,esc,5,u1,ang,hap,0.800000,0.250000,0.750000",
    ]
    assert_frame_equal(read_predictions(path), rows)
    assert [p.name for p in path.parent.iterdir()] == ["predictions.csv"]


def test_a_refused_row_leaves_the_older_file(tmp_path):
    path = write(tmp_path / "p.csv", HEADER, GOOD)
    with pytest.raises(TrnetError, match=r"p\.csv:3: .*1\.5"):
        write_predictions(path, pd.concat([frame({}), frame({}, probs=(0.75, 0.75))]))
    assert path.read_text() == f"{HEADER}\n{GOOD}\n"
    assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (",0.75", "", "11 fields where the header has 12"),
        (",7,", ",seven,", "seed: 'seven' is no whole number"),
        (",7,", ",1_0,", "seed: '1_0' is no whole number"),
        (",7,", f",{'9' * 5000},", "seed: '9{40}...' is no whole number"),
        (",5,", ",\u0665,", "snr_db: '\u0665' is no number"),
        (",5,", ",loud,", "snr_db: 'loud' is no number"),
        (",5,", ",,", "snr_db"),
        ("esc,", "clean,", "snr_db"),
        (",ang,", ",sad,", "label is 'sad' but the classes are ang,hap"),
        (",hap,", ",,", "pred is ''"),
        (",0.8,", ",1.2,", r"c is 1.2 but must lie in \[0, 1\]"),
        (",0.8,", ",nan,", "c: 'nan' is no number"),
        (",0.75", ",inf", "hap: 'inf' is no number"),
        (",0.75", ",0.5", "sum to 0.75"),
        ("0.25,0.75", "-0.25,1.25", "are negative"),
        ("u1", "", "utt_id is empty"),
        ("trnet,", ",", "system is empty"),
    ],
)
def test_malformed_row_names_file_and_line(tmp_path, old, new, reason):
    good = GOOD.replace("u1", "u0")
    path = write(tmp_path / "p.csv", HEADER, good, GOOD.replace(old, new, 1))
    with pytest.raises(TrnetError, match=rf"p\.csv:3: .*{reason}"):
        read_predictions([path])


def test_folds_are_sorted_by_number_whatever_its_length():
    many = "9" * 5000
    assert sorted(["fold10", "fold" + many, "fold9", "fold"], key=natural_key) == [
        *("fold", "fold9", "fold10"),
        "fold" + many,
    ]


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SILENT_S", 0.1)
    os.mkfifo(tmp_path / "p.csv")
    assert "nobody writes" in failure(tmp_path / "p.csv")


def test_header_errors(tmp_path):
    path = tmp_path / "p.csv"
    write(path, HEADER.replace("fold,", ""), GOOD)
    assert "p.csv:1: column fold is missing" in failure(path)
    write(path, HEADER.replace("system,frontend", "frontend,system"), GOOD)
    assert "p.csv:1: " in failure(path)
    write(path, HEADER.replace("ang,hap", "ang,ang"), GOOD)
    assert "p.csv:1: " in failure(path)
    write(path, HEADER.replace(",ang,hap", ",ang"), GOOD.removesuffix(",0.75"))
    assert "p.csv:1: 1 class" in failure(path)


def test_files_that_are_no_predictions(tmp_path):
    path = tmp_path / "p.csv"
    assert str(path) in failure(path)
    path.write_bytes(b"")
    assert "p.csv:1: column system" in failure(path)
    write(path, HEADER)
    assert "p.csv:1: no rows" in failure(path)
    path.write_bytes(HEADER.encode() + b"\n\xff\xfe\n")
    assert "p.csv:1: " in failure(path) and "UTF-8" in failure(path)
    write(path, HEADER, GOOD + ',"never closed')
    assert "p.csv:1: not a CSV file" in failure(path)
    with pytest.raises(TrnetError):
        read_predictions([])


def test_classes_must_agree_between_files(tmp_path):
    one = write(tmp_path / "one.csv", HEADER, GOOD)
    two = write(tmp_path / "two.csv", HEADER.replace("ang,hap", "hap,ang"), GOOD)
    message = failure(one, two)
    assert "two.csv:1: " in message and "hap,ang" in message and "one.csv" in message


def test_an_utterance_counts_once_in_a_run_and_condition(tmp_path):
    one = write(tmp_path / "one.csv", HEADER, GOOD)
    two = write(tmp_path / "two.csv", HEADER, GOOD.replace("mmse", "other"))
    assert "two.csv:2: utterance u1 of trnet, fold 1, seed 7, esc 5" in failure(one, two)
    write(two, HEADER, GOOD.replace(",5,", ",5.0,"))
    assert "two.csv:2: " in failure(one, two)
    write(two, HEADER, GOOD.replace(",7,", ",8,"))
    assert len(read_predictions([one, two])) == 2


def test_an_utterance_has_one_label(tmp_path):
    other = GOOD.replace(",5,", ",10,").replace("u1,ang", "u1,hap")
    path = write(tmp_path / "p.csv", HEADER, GOOD, other)
    assert "p.csv:3: utterance u1 is labelled hap" in failure(path)


def test_score_per_condition_in_table_order():
    results = score(
        frame(
            {"fold": "10"},
            {"fold": "2"},
            {"fold": "2", "utt_id": "u2", "label": "hap"},
            {"fold": "2", "noise": "clean", "snr_db": None},
            {"system": "baseline_e", "c": None},
            {"system": "another", "c": None},
        )
    )
    assert results[["system", "fold", "noise", "n_utts", "uar"]].values.tolist() == [
        ["baseline_e", "1", "esc", 1, 0.0],
        ["trnet", "2", "clean", 1, 0.0],
        ["trnet", "2", "esc", 2, 50.0],
        ["trnet", "10", "esc", 1, 0.0],
        ["another", "1", "esc", 1, 0.0],
    ]
    assert results["snr_db"].fillna(-1).tolist() == [5, -1, 5, 5, 5]


def test_pooled_uar_is_not_the_mean_of_folds():
    def row(fold, utt, label, pred):
        return {"fold": fold, "utt_id": utt, "label": label, "pred": pred}

    # fold 1: ang 1/1, hap 0/3: 50 %; fold 2: ang 1/3, hap 1/1: 66.67 %; pooled: ang 2/4, hap 1/4
    rows = [row("1", "a", "ang", "ang"), *(row("1", f"b{i}", "hap", "ang") for i in range(3))]
    rows += [row("2", "c", "ang", "ang"), row("2", "d", "ang", "hap"), row("2", "e", "ang", "hap")]
    rows += [row("2", "f", "hap", "hap")]
    assert score(frame(*rows))["uar"].tolist() == pytest.approx([50.0, 200 / 3])
    pooled = score(frame(*rows), by_fold=False)
    assert pooled[["fold", "n_utts", "uar", "war"]].values.tolist() == [["all", 8, 37.5, 37.5]]


def test_results_are_read_back(tmp_path):
    results = score(frame({}))
    path = tmp_path / "results.csv"
    write_results(path, results)
    assert path.read_text() == (
        "system,frontend,fold,seed,noise,snr_db,n_utts,uar,war\ntrnet,mmse,1,7,esc,5,1,0.0000,0.0000\n"
    )
    assert_frame_equal(read_results(path), results)
    with pytest.raises(TrnetError, match=r"results\.csv:2: .*a second time"):
        read_results([path, path])
    write(path, *path.read_text().replace(",0.0000\n", ",101\n").splitlines())
    with pytest.raises(TrnetError, match=r"results\.csv:2: war: .*100"):
        read_results(path)
