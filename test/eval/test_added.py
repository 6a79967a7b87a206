"""Systems from elsewhere in stage 7 of trained runs: added, shown, kept, changed and taken out."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from trnet.bin import add_system, score
from trnet.conditions import CLEAN, Condition
from trnet.eval.added import find_peers, peers_folder
from trnet.eval.peers import PeerRow, write_peer_csv
from trnet.eval.predictions import read_predictions
from trnet.eval.report_data import gather_examples
from trnet.utils.stamp import file_sha256

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plain_pictures")]

EVERY = (CLEAN, Condition("esc", 10.0), Condition("esc", 0.0))
SYSTEMS = ("baseline_c", "trnet")
NAME = "Linear probe (predictions from elsewhere)"


def probe(path: Path, runs, conditions=EVERY, wrong: int = 2) -> Path:
    """Predictions of folds 1 and 2: neutral for every second utterance (or `wrong`th), the others right."""
    tested = [utt for fold in runs.experiment.dataset.folds[:2] for utt in fold.test]
    emotion = runs.experiment.data["utt2emo"]
    rows = [
        PeerRow(utt, emotion[utt] if i % wrong else "neu", condition.name)
        for condition in conditions
        for i, utt in enumerate(tested)
    ]
    write_peer_csv(path, rows)
    return path


def options(runs, path: Path, name: str = "probe", *more: str) -> list[str]:
    """The command line that adds a file."""
    where = [*runs.tiny.folders()[:4], "--exp", str(runs.exp), "--max-epochs", "1", "--folds", "1 2"]
    return [*where, "--name", name, "--predictions", str(path), *more]


def add(*args) -> None:
    assert add_system.main(options(*args)) == 0


@pytest.fixture
def peers(runs) -> Iterator[Path]:
    """Where they lie; none is left after a test."""
    folder = peers_folder(runs.experiment)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def before(runs) -> dict[str, bytes]:
    """The report without any."""
    runs.score(systems=SYSTEMS)
    return state(runs.out)


def state(out: Path) -> dict[str, bytes]:
    """What each file of a report and of the runs holds."""
    files = [path for path in out.rglob("*") if path.is_file() and "peers" not in path.parts]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_is_one_more_system_everywhere_and_stays(runs, before, peers, tmp_path, capfd):
    add(runs, probe(tmp_path / "probe.csv", runs), "probe", "--title", "Linear probe")
    runs.score(systems=SYSTEMS)
    assert "made anew, changed: peers" in capfd.readouterr().out
    after = state(runs.out)
    for name in ("results.csv", "predictions.csv", "statistics.csv"):  # lines of the others: the same bytes
        lines = after[name].decode().splitlines()
        assert [x for x in lines if "peer:probe" not in x] == before[name].decode().splitlines()
        assert len(lines) > len(before[name].decode().splitlines())
    runs_of_others = {name: body for name, body in before.items() if "/fold" in name}
    assert len(runs_of_others) > 4 and runs_of_others == {name: after[name] for name in runs_of_others}
    text, page = after["RESULTS.md"].decode(), after["report.html"].decode()
    assert text.count(NAME) > 5 and page.count(NAME) > 5
    assert f"TRNet - {NAME}" in text and f"{NAME}, noisy" in page
    assert "probe.csv (SHA-256" in text and str(tmp_path) not in text + page
    assert NAME in after["figures/confusion_peer-probe.png"].decode()
    assert {row["frontend"] for row in rows(runs.out / "results.csv") if row["system"] == "peer:probe"} == {""}

    runs.score(systems=SYSTEMS)
    assert "up to date" in capfd.readouterr().out and state(runs.out) == after
    (runs.out / "RESULTS.md").unlink()
    runs.score(systems=SYSTEMS)
    assert state(runs.out) == after

    shutil.rmtree(peers)
    runs.score(systems=SYSTEMS)
    assert state(runs.out) == before


def test_the_same_predictions_again_change_nothing_and_others_do(runs, before, peers, tmp_path, capfd):
    path = probe(tmp_path / "probe.csv", runs)
    add(runs, path, "probe", "--title", "Linear probe")
    kept = {file.name: file.stat().st_mtime_ns for file in (peers / "probe").iterdir()}
    capfd.readouterr()
    add(runs, path)  # and the title stays
    assert "up to date" in capfd.readouterr().out
    assert kept == {file.name: file.stat().st_mtime_ns for file in (peers / "probe").iterdir()}
    runs.score(systems=SYSTEMS)
    first = (runs.out / "results.csv").read_text()
    add(runs, probe(path, runs, EVERY[:2], wrong=4))  # better, and on less: still this table's place
    runs.score(systems=SYSTEMS)
    said = capfd.readouterr().out
    assert "changed: peers" in said and "stays" not in said and not list(runs.out.glob("RESULTS_*"))
    second = (runs.out / "results.csv").read_text()
    assert second != first and "peer:probe,,1,0,clean" in second and "peer:probe,,1,0,esc,0," not in second
    assert f"{NAME} (2 of 3 conditions)" in (runs.out / "RESULTS.md").read_text()


def test_the_form_of_a_file_does_not_matter(runs, peers, tmp_path):
    path = probe(tmp_path / "a.csv", runs)
    frame = pd.read_csv(path)
    again = frame[::-1].rename(columns={"utt_id": "utterance", "label": "pred"}).replace({"pred": {"neu": "neutral"}})
    again.to_csv(tmp_path / "b.csv", index=False)
    add(runs, path, "a")
    add(runs, tmp_path / "b.csv", "b", "--labels", "neutral=neu")
    assert (peers / "a/predictions.csv").read_bytes() == (peers / "b/predictions.csv").read_bytes()
    about = json.loads((peers / "b/peer.json").read_text())
    assert about["source"] == "b.csv" and about["labels"] == {"neutral": "neu"} and about["title"] == "b"


def test_folds_that_stage_7_does_not_ask_for_are_left_out(runs, before, peers, tmp_path):
    add(runs, probe(tmp_path / "probe.csv", runs, EVERY[:1]))
    runs.score(systems=SYSTEMS, folds="2")
    (table,) = runs.out.glob("results_*.csv")
    mine = [row for row in rows(table) if row["system"] == "peer:probe"]
    assert [(row["fold"], row["noise"], row["n_utts"]) for row in mine] == [("2", "clean", "8")]
    for path in list(runs.out.glob("*_fold2*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_listening_examples_are_those_of_the_runs(runs, before, peers, tmp_path):
    add(runs, probe(tmp_path / "probe.csv", runs, EVERY[:2]))
    own = read_predictions(runs.out / "predictions.csv")
    own = own[~own["system"].str.startswith("peer:")]
    (peer,) = find_peers(runs.experiment)
    both = pd.concat([own, peer.predictions(runs.experiment)], ignore_index=True)
    found, expected = (gather_examples(runs.experiment, some, 0)[0] for some in (both, own))
    assert [(one.utt, one.noise, one.snr_db) for one in found] == [(x.utt, x.noise, x.snr_db) for x in expected]
    for one in found:
        systems = ["baseline_c", "trnet", *(["peer:probe"] if one.snr_db == 10 else [])]
        assert [row["system"] for row in one.predictions] == systems


@pytest.mark.parametrize("harm", ["changed", "gone", "about"])
def test_what_was_changed_by_hand_is_named_before_any_work(runs, before, peers, tmp_path, fails, harm):
    path = probe(tmp_path / "probe.csv", runs)
    add(runs, path)
    table, about = peers / "probe/predictions.csv", peers / "probe/peer.json"
    if harm == "changed":
        table.write_text(table.read_text().replace(",neu,", ",sad,"))
    elif harm == "gone":
        table.unlink()
    else:
        about.write_text("{")
    whole = state(runs.out)
    asked = [*runs.options, "--systems", "trnet", "--folds", "1 2", "--noises", "esc"]
    line = fails(score.main, asked)
    assert str(about if harm == "about" else table) in line and "add it again" in line
    assert state(runs.out) == whole
    add(runs, path)
    assert [peer.title for peer in find_peers(runs.experiment)] == ["probe"]


def test_predictions_that_no_longer_fit_are_named(runs, before, peers, tmp_path, fails):
    add(runs, probe(tmp_path / "probe.csv", runs))
    table, about = peers / "probe/predictions.csv", peers / "probe/peer.json"
    table.write_text(table.read_text().replace("S1F-ang_0,", "S7F-ang_0,"))
    about.write_text(json.dumps(json.loads(about.read_text()) | {"table_sha256": file_sha256(table)}))
    line = fails(score.main, [*runs.options, "--systems", "trnet", "--folds", "1 2", "--noises", "esc"])
    assert f"{table}:" in line and "S7F-ang_0" in line


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("trnet", [], "--name trnet"),
        ("a b", [], "--name 'a b'"),
        ("../x", [], "--name ../x"),
        ("peer:x", [], "--name peer:x"),
        ("x", ["--title", "cost $"], "--title $"),
        ("x", ["--title", "two\nlines"], "--title"),
        ("x", ["--title", "Linear probe"], "--title 'Linear probe'"),
        ("x", ["--labels", "neutral"], "--labels 'neutral'"),
        ("x", ["--folds", "3"], "8 24 test"),
    ],
)
def test_names_and_titles_that_cannot_be_are_refused(runs, peers, tmp_path, fails, name, more, words):
    path = probe(tmp_path / "probe.csv", runs)
    add(runs, path, "probe", "--title", "Linear probe")
    line = fails(add_system.main, options(runs, path, name, *more))
    assert all(word in line for word in words.split()), line
    assert [folder.name for folder in peers.iterdir() if folder.is_dir()] == ["probe"]


def test_an_experiment_that_is_not_there_is_named_and_not_made(runs, tmp_path, fails):
    line = fails(add_system.main, [*options(runs, tmp_path / "probe.csv"), "--exp", str(tmp_path / "exp_none")])
    assert f"--exp {tmp_path}/exp_none: no such experiment" in line and not (tmp_path / "exp_none").exists()


def test_true_labels_in_place_of_predictions_are_suspected(runs, peers, tmp_path, capfd):
    add(runs, probe(tmp_path / "probe.csv", runs, wrong=10**6))
    assert "every label is right" not in capfd.readouterr().err  # but for the first utterance, which is not neutral
    emotion = runs.experiment.data["utt2emo"]
    tested = [utt for fold in runs.experiment.dataset.folds[:2] for utt in fold.test]
    write_peer_csv(tmp_path / "true.csv", [PeerRow(utt, emotion[utt]) for utt in tested])
    add(runs, tmp_path / "true.csv", "true")
    assert "every label is right" in capfd.readouterr().err
