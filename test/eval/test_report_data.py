"""What a report shows besides scores: counted, drawn by a seed, and named where it is not available."""

import re
import shutil

import numpy as np
import pytest

from trnet.conditions import CLEAN, Condition, noisy_conditions
from trnet.eval.predictions import classes_of, read_predictions
from trnet.eval.report_data import (
    choose_examples,
    embedded_items,
    gather_examples,
    gather_report_data,
    read_curve,
    summarise_noise,
)
from trnet.eval.run_predictions import predict, predict_run, predictions_path
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow

SYSTEMS = ("baseline_c", "baseline_e", "trnet")


@pytest.fixture(scope="module")
def predictions(runs):
    """Predictions of three systems on two folds."""
    specs = [runs.run(name, fold) for name in SYSTEMS for fold in (1, 2)]
    for spec in specs:
        predict_run(runs.session, spec, noisy_conditions(["esc"], [10.0, 0.0]))
    return read_predictions([predictions_path(spec.folder) for spec in specs])


def test_examples_are_spread_over_classes_and_snrs(predictions):
    label = dict(zip(predictions["utt_id"], predictions["label"], strict=True))
    items = choose_examples(predictions, seed=0)
    assert len(set(items)) == len({utt for utt, *_ in items}) == 12
    for emotion in classes_of(predictions):
        mine = [snr for utt, _, snr in items if label[utt] == emotion]
        assert len(mine) == 3 and set(mine) == {0.0, 10.0}
    assert items == choose_examples(predictions[::-1], seed=0)
    assert items != choose_examples(predictions, seed=1)
    assert choose_examples(predictions[predictions["noise"] == "clean"], seed=0) == []


def test_representations_are_those_of_the_run(runs):
    run = runs.run("trnet")
    items = embedded_items(run.fold, [CLEAN, Condition("esc", 0.0)], seed=0)
    assert len(items) == 16 and {utt for utt, _ in items} <= set(run.fold.test)
    found = predict(runs.session, run, items, with_h=True)
    h = np.stack([found[item].h for item in items])
    assert h.shape[0] == 16 and np.isfinite(h).all() and h.std(axis=0).max() > 0
    assert predict(runs.session, run, items)[items[0]].h is None


def test_noise_summary_counts_what_the_manifest_lists(tiny):
    found = summarise_noise(tiny.data, "esc", [0.0, 10.0], "esc")
    assert (found.sources, found.clips, found.snrs, found.in_training) == (4, 8, (0.0, 10.0), True)
    assert found.groups[["group", "utts"]].values.tolist() == [["S1", 16], ["S2", 16], ["S3", 16]]
    assert found.shared_sources == 0 and found.groups["sources"].sum() == 4
    used = {use.split()[0] for use in DataDir(tiny.root / "data/tiny_esc_0db")["utt2noise"].values()}
    assert found.used_clips == len(used)
    with pytest.raises(TrnetError, match="noise_wind"):
        summarise_noise(tiny.data, "wind", [0.0], "esc")


def test_what_is_not_available_is_left_out_and_named(tiny, runs, predictions, tmp_path, monkeypatch):
    """No history.csv of a run, no audio of an enhanced set, no representations, no noise data dir."""
    shutil.copytree(runs.exp, tmp_path / "exp", symlinks=True)
    shutil.copytree(tiny.dump, tmp_path / "dump")
    (tmp_path / "exp/none/trnet/fold1_seed1/history.csv").unlink()
    scp = tmp_path / "dump/none/tiny_esc_10db/wav.scp"
    scp.write_text(re.sub(r"\.wav$", ".gone.wav", scp.read_text(), flags=re.MULTILINE))
    session = tiny.session(tmp_path / "exp", tmp_path / "dump", max_epochs=1)

    def no_embedding(*args):
        raise TrnetError("dump: is gone")

    monkeypatch.setattr("trnet.eval.report_data.make_embedding", no_embedding)
    specs = session.experiment.runs(SYSTEMS, session.experiment.dataset.folds[:1], [1])
    found = gather_report_data(session, specs, predictions, noisy_conditions(["esc", "wind"], [10.0, 0.0]))
    (curve,) = [line for line in found.missing if "history.csv" in line]
    assert "trnet fold 1 seed 1" in curve
    assert sum("dump: is gone" in line for line in found.missing) == 3
    assert any(line.startswith("noise set wind: ") for line in found.missing)
    assert [one.system for one in found.curves] == ["baseline_c", "baseline_e"]
    for item in found.examples:
        assert len(item.audio) == (2 if item.snr_db == 10 else 3)
        assert bool(item.missing) == (item.snr_db == 10)
        assert {one["system"] for one in item.predictions} == set(SYSTEMS)


def test_audio_stops_where_the_page_would_become_too_large(runs, predictions, monkeypatch):
    monkeypatch.setattr("trnet.eval.report_data.MOST_AUDIO", 100_000)
    found, left_out = gather_examples(runs.experiment, predictions, 0)
    assert 0 < len(found) < 12 and f"{12 - len(found)} of 12 utterances" in left_out


def test_training_curves(runs, tmp_path):
    found = read_curve(runs.run("trnet").folder, "trnet")
    assert found.system == "trnet" and len(found.loss) == len(found.valid_uar) == 1
    (tmp_path / "history.csv").write_text("epoch,lr,loss,task,low,high,valid_uar\n1,0.1,x,1,1,1,50\n")
    with pytest.raises(TrnetError, match=r"history\.csv:2: loss: 'x'"):
        read_curve(tmp_path, "trnet")
