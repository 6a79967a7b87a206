"""Files of predictions from elsewhere: what is read, and each mistake in a line that names it."""

import re

import pandas as pd
import pytest

from trnet.eval.peers import PeerRow, peer_csv, peer_predictions, read_peer_csv, write_peer_csv
from trnet.eval.predictions import PREDICTION
from trnet.utils.errors import TrnetError

CLASSES = ("ang", "hap", "neu", "sad")
FOLDS = (1, 2)


@pytest.fixture(scope="module")
def experiment(tiny, tmp_path_factory):
    return tiny.experiment(tmp_path_factory.mktemp("peers"))


@pytest.fixture
def lines(experiment) -> list[str]:
    """A good file: folds 1 and 2 on clean speech and at 10 dB, all neutral."""
    utts = [utt for fold in experiment.dataset.folds[:2] for utt in fold.test]
    return ["utt_id,label,condition", *(f"{utt},neu,{name}" for name in ("clean", "esc_10db") for utt in utts)]


@pytest.fixture
def predicted(experiment, tmp_path):
    """predicted(lines): what they are in predictions.csv."""

    def read(lines, folds=FOLDS, labels=None) -> pd.DataFrame:
        (tmp_path / "peer.csv").write_text("\n".join(lines) + "\n")
        return peer_predictions(tmp_path / "peer.csv", "peer:x", experiment, folds, labels)

    return read


def test_fold_and_true_label_come_from_the_corpus(predicted, lines, experiment):
    found = predicted(lines)
    assert list(found.columns) == [*PREDICTION, *CLASSES] and len(found) == len(lines) - 1 == 32
    first = found.iloc[0]
    assert (first["system"], first["frontend"], first["seed"], first["noise"]) == ("peer:x", "", 0, "clean")
    assert set(found["pred"]) == {"neu"} and found[[*CLASSES, "c"]].isna().all(axis=None)
    assert (found["label"] == found["utt_id"].map(experiment.data["utt2emo"])).all()
    tested = {utt: str(fold.number) for fold in experiment.dataset.folds for utt in fold.test}
    assert (found["fold"] == found["utt_id"].map(tested)).all() and set(found["fold"]) == {"1", "2"}
    assert found["snr_db"].isna().equals(found["noise"] == "clean") and set(found["snr_db"].dropna()) == {10.0}


@pytest.mark.parametrize("header", ["utterance,pred,condition", "utt_id,pred,condition", "utterance,label,condition"])
def test_either_name_of_a_column_will_do(predicted, lines, header):
    assert predicted([header, *lines[1:]]).equals(predicted(lines))


def test_conditions_may_have_two_columns_and_the_columns_any_order(predicted, lines):
    split = ["noise,utt_id,snr_db,label"]
    for line in lines[1:]:
        utt, label, name = line.split(",")
        split.append(f"clean,{utt},,{label}" if name == "clean" else f"esc,{utt},10,{label}")
    assert predicted(split).equals(predicted(lines))


def test_utterances_may_be_called_as_in_the_noisy_data_dir(predicted, lines):
    noisy = [re.sub(r"^([^,]+),neu,esc_10db$", r"\1-esc_10db,neu,esc_10db", line) for line in lines]
    assert noisy != lines and predicted(noisy).equals(predicted(lines))


def test_classes_called_otherwise_are_mapped(predicted, lines):
    header, *rest = lines
    named = [f"{header},anger,hap,neutral,sad", *(f"{line.replace('neu', 'neutral')},0,0,1,0" for line in rest)]
    named = [line.replace("-neutral_", "-neu_") for line in named]
    found = predicted(named, labels={"neutral": "neu", "anger": "ang"})
    assert set(found["pred"]) == {"neu"} and (found["neu"] == 1).all() and (found["ang"] == 0).all()


def test_fold_and_seed_may_be_given(predicted, lines, experiment):
    tested = {utt: fold.number for fold in experiment.dataset.folds for utt in fold.test}
    header, *rest = lines
    more = [f"{header},fold,seed", *(f"{x},{tested[x.split(',')[0]]},{seed}" for seed in (4, 7) for x in rest)]
    found = predicted(more)
    assert set(found["seed"]) == {4, 7} and len(found) == 64


def test_what_is_written_is_read(tmp_path):
    rows = [
        PeerRow("a", "ang"),
        PeerRow("b", "hap", "esc_-5db", 3, 2, {"ang": 0.25, "hap": 0.75, "neu": 0.0, "sad": 0.0}),
    ]
    write_peer_csv(tmp_path / "p.csv", rows[1:])
    found = read_peer_csv(tmp_path / "p.csv", CLASSES).to_dict("records")
    assert found == [
        {"utt_id": "b", "label": "hap", "condition": "esc_-5db", "fold": "3", "seed": 2, **rows[1].probabilities}
    ]
    assert peer_csv(rows[:1]) == "utt_id,label,condition\na,ang,clean\n"
    write_peer_csv(tmp_path / "p.csv", rows)
    both = read_peer_csv(tmp_path / "p.csv", CLASSES)
    assert both["seed"].tolist() == [0, 2] and both["ang"].isna().tolist() == [True, False]


def changed(number, old, new):
    """A change of one line, counted as in the file."""
    return lambda lines: [line.replace(old, new) if i == number else line for i, line in enumerate(lines, 1)]


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (changed(3, "S1F-", "S9F-"), 3, "S9F-ang_1 data/tiny"),
        (changed(4, "S1F-hap_0", ""), 4, "''"),
        (changed(5, ",neu,", ",angry,"), 5, "angry ang,hap,neu,sad --labels"),
        (changed(5, ",neu,", ",,"), 5, "'' ang,hap,neu,sad"),
        (changed(20, "esc_10db", "esc_7db"), 20, "esc_7db tiny_esc_7db"),
        (changed(20, "esc_10db", "musan_10db"), 20, "musan_10db"),
        (changed(20, "esc_10db", "esc10"), 20, "condition 'esc10'"),
        (changed(20, "esc_10db", "esc_xdb"), 20, "condition 'esc_xdb'"),
        (changed(20, "esc_10db", ""), 20, "condition ''"),
        (lambda lines: [*lines, lines[6]], 34, "second time S1F-neu_1"),
        (lambda lines: [*lines[:4], lines[4] + ",x", *lines[5:]], 5, "4 fields 3"),
        (changed(1, "utt_id", "file"), 1, "utt_id is missing"),
        (changed(1, "condition", "label"), 1, "repeated"),
        (changed(1, "condition", "snr"), 1, "condition is missing"),
        (lambda lines: [line + f",{'pred' if not i else 'neu'}" for i, line in enumerate(lines)], 1, "label pred"),
        (lambda lines: [line + f",{'text' if not i else 'la'}" for i, line in enumerate(lines)], 1, "text unknown"),
        (lambda lines: [line + f",{'ang' if not i else '1'}" for i, line in enumerate(lines)], 1, "hap missing"),
        (
            lambda lines: [line + f",{'fold' if not i else '2'}" for i, line in enumerate(lines)],
            2,
            "fold 2 S1F-ang_0 1",
        ),
        (lambda lines: [line + f",{'seed' if not i else '-1'}" for i, line in enumerate(lines)], 2, "seed -1"),
        (lambda lines: [line + f",{'seed' if not i else 'one'}" for i, line in enumerate(lines)], 2, "seed 'one'"),
        (
            lambda lines: [x + f",{'ang,hap,neu,sad' if not i else '0.5,0,0.2,0'}" for i, x in enumerate(lines)],
            2,
            "sum 0.7",
        ),
        (lambda lines: [x + f",{'ang,hap,neu,sad' if not i else '1,,,'}" for i, x in enumerate(lines)], 2, "missing"),
        (lambda lines: lines[:1], 1, "no rows"),
    ],
)
def test_a_bad_row_is_named(predicted, lines, change, line, words):
    bad = change(lines)
    assert bad != lines
    with pytest.raises(TrnetError) as caught:
        predicted(bad)
    said = str(caught.value)
    assert f"peer.csv:{line}: " in said and "\n" not in said
    assert all(word in said for word in words.split()), said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], "esc_10db 1 of the 16 S1M-sad_1"),
        (lambda lines: lines[:9], "clean 8 of the 16"),
        (lambda lines: [*lines, "S2F-ang_0,neu,clean"], "clean 7 of the 24"),
        (
            lambda lines: [lines[0] + ",seed", *(x + ",1" for x in lines[1:]), *(x + ",2" for x in lines[1:17])],
            "esc_10db seed 2",
        ),
        (
            lambda lines: [lines[0] + ",seed", *(x + ",1" for x in lines[1:]), *(x + ",2" for x in lines[2:])],
            "clean seed 2 1 of the 16 S1F-ang_0",
        ),
    ],
)
def test_every_test_utterance_must_be_there(predicted, lines, change, words):
    with pytest.raises(TrnetError) as caught:
        predicted(change(lines))
    said = str(caught.value)
    assert "peer.csv: " in said and all(word in said for word in words.split()), said


def test_folds_that_were_not_asked_for_may_be_missing(predicted, lines):
    with pytest.raises(TrnetError, match="32 of the 48"):
        predicted(lines, range(1, 7))
    assert len(predicted(lines, (1,))) == len(predicted(lines, ())) == 32


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"\xff\xfe", "UTF-8"), (b"", "no rows")])
def test_no_table_at_all(experiment, tmp_path, content, why):
    path = tmp_path / "peer.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrnetError, match=why):
        peer_predictions(path, "peer:x", experiment, FOLDS)
