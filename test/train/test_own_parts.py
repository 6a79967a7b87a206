"""Parts of somebody's own, trained through a session like trnet's."""

import csv
import pickle

import pytest
import torch
from tiny import SETS
from training import Stopped, history, outcome, run_of, same_outcome, stop_at, train, with_settings

from trnet.bin import enhance, make_fbank
from trnet.config import load_config
from trnet.runs.experiment import Experiment
from trnet.train.session import Session
from trnet.utils.errors import TrnetError

pytestmark = pytest.mark.slow  # the module as a whole

LOSSES = [
    {"type": "cross_entropy", "name": "task", "label_smoothing": 0.1, "class_weights": "balanced"},
    {"type": "own_parts:CentreLoss", "weight": 0.1, "classes": 4, "dim": 6},
    {"type": "own_parts:Distance", "name": "apart", "weight": 0.01},
    {"type": "low", "weight": 0.5},
]
SYSTEMS = {
    "mine": {"model": "own_parts:Late", "options": {"share": 0.25}, "losses": LOSSES[:3]},
    "gated": {"bridge": True, "losses": LOSSES},
}
PARTS = {"encoder": {"type": "own_parts:MeanEncoder", "size": 6}, "pooling": "own_parts:MaxPooling"}
SCHEDULE = {"type": "cosine", "epochs": 3, "warmup_steps": 5, "final": 0.1}
TRAINING = {"plateau_patience": 0, "schedule": SCHEDULE, "optimizer": {"type": "adamw", "weight_decay": 0.01}}


@pytest.fixture(scope="module")
def mine(tiny, tmp_path_factory) -> Session:
    """`mine` of fold 1 trained: own encoder, pooling, losses and system; not to be changed."""
    session = with_settings(tiny, tmp_path_factory.mktemp("own"), PARTS | {"systems": SYSTEMS}, **TRAINING)
    train(session, "mine")
    return session


def test_losses_are_columns_and_their_parameters_are_trained_and_kept(mine):
    best, last, table = outcome(mine, "mine")
    rows = list(csv.DictReader(table.open()))
    columns = ["epoch", "lr", "loss", "task", "low", "high", "valid_uar", "c_clean", "c_noisy"]
    assert list(rows[0]) == [*columns, "CentreLoss", "apart"] and len(rows) == 3
    for row in last["history"]:
        parts = row["task"] + 0.1 * row["CentreLoss"] + 0.01 * row["apart"]
        assert row["loss"] == pytest.approx(parts, rel=1e-5) and "low" not in row and row["c_clean"] is None
    assert last["losses"]["CentreLoss.centres"].any() and "losses" not in best
    assert {name.partition(".")[0] for name in best["model"]} == {"ser"}
    assert rows[0]["CentreLoss"] == str(last["history"][0]["CentreLoss"])


def test_a_stopped_run_has_the_same_rates_and_the_very_same_end(tiny, mine, tmp_path, monkeypatch):
    session = with_settings(tiny, tmp_path, PARTS | {"systems": SYSTEMS}, **TRAINING)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(patch, "train_epoch", 2)
        train(session, "mine")
    train(session, "mine")
    assert same_outcome(outcome(session, "mine"), outcome(mine, "mine"))
    rates = [row["lr"] for row in history(session, "mine")]
    assert len(set(rates)) == 3 and rates[2] < rates[1] < 0.01


def test_the_settings_of_parts_are_part_of_the_stamp(tiny, mine, tmp_path):
    def made_from(parts):
        session = with_settings(tiny, tmp_path, PARTS | parts | {"systems": SYSTEMS}, **TRAINING)
        return session.experiment.stamp(run_of(session, "mine")).made_from

    first = mine.experiment.stamp(run_of(mine, "mine")).made_from
    assert first == made_from({})
    changed = made_from({"encoder": {"type": "own_parts:MeanEncoder", "size": 6, "note": "x"}})
    assert [key for key in first if first[key] != changed[key]] == ["encoder"]
    losses = [LOSSES[0] | {"label_smoothing": 0.2}, *LOSSES[1:3]]
    session = with_settings(
        tiny, tmp_path, PARTS | {"systems": SYSTEMS | {"mine": SYSTEMS["mine"] | {"losses": losses}}}, **TRAINING
    )
    changed = session.experiment.stamp(run_of(session, "mine")).made_from
    assert [key for key in first if first[key] != changed[key]] == ["system"]


def with_features(tiny, root, features, exp):
    """The tiny corpus with other features, dumped below `root`."""
    path = root / "own.yaml"
    path.write_text(
        f"base: {tiny.config_path}\nfeatures: {features}\nencoder: {{type: light, channels: 8}}\n"
        "gate: {features: {num_mel_bins: 20}}\ntraining: {max_epochs: 1}\n"
    )
    sets = ["--sets", " ".join(str(tiny.root / "data" / name) for name in SETS), "--dump", str(root / "dump")]
    assert enhance.main(["--config", str(path), *sets]) == 0
    assert make_fbank.main(["--config", str(path), *sets]) == 0
    return Session(Experiment(load_config(path), tiny.data, root / "dump", exp), torch.device("cpu"))


def test_own_features_are_trained_on_with_log_mels_for_the_gate(tiny, tmp_path):
    """20 ms a frame, where log-mels have 10 ms: the gate has more frames than the encoder."""
    session = with_features(tiny, tmp_path, "{type: 'own_parts:Energies'}", tmp_path / "exp")
    run = train(session, "trnet_wo_high")
    best, last, _ = outcome(session, "trnet_wo_high")
    (row,) = last["history"]
    assert 0 <= row["c_clean"] <= 1 and row["low"] >= 0
    assert best["model"]["gate.fc.weight"].shape == (1, 20) and best["model"]["ser.encoder.norm.weight"].shape == (3,)
    data = session.data(run)
    batch = data.reader(training=True).read([(utt, data.conditions[0]) for utt in data.utts[:3]])
    assert batch.noisy.shape[2] == batch.clean.shape[2] == 3 and batch.noisy_mels.shape[2] == 20
    assert (batch.mel_lengths > 1.5 * batch.lengths).all() and batch.enhanced_mels.shape == batch.noisy_mels.shape
    features = session.experiment.stamp(run).made_from["features"]
    own = "own_parts-Energies"
    assert {"raw/tiny", f"{own}/raw/tiny", "none/tiny_esc_0db", f"{own}/none/tiny_esc_0db"} <= set(features)
    config = pickle.loads(pickle.dumps(session.experiment.config))  # as the processes of --nj get it
    assert config == session.experiment.config and config.features.is_own
    train(session, "baseline_n")  # which reads no log-mels
    assert "raw/tiny" not in session.experiment.stamp(run_of(session, "baseline_n")).made_from["features"]


def test_an_own_loss_that_gives_no_scalar_stops_the_training_in_one_line(tiny, tmp_path):
    systems = {"mine": {"input": "noisy", "losses": ["cross_entropy", {"type": "own_parts:Vector"}]}}
    session = with_settings(tiny, tmp_path, {"systems": systems}, max_epochs=1)
    with pytest.raises(TrnetError, match="'Vector'") as caught:
        train(session, "mine")
    assert "\n" not in str(caught.value)


def test_an_own_loss_may_read_transcripts_where_ctc_cannot(tiny, tmp_path):
    systems = {"mine": {"input": "noisy", "losses": ["cross_entropy", {"type": "own_parts:Words"}]}}
    settings = {"systems": systems, "encoder": {"type": "light", "channels": 4}, "ctc": {"vocab": 3, "model": "char"}}
    session = with_settings(tiny, tmp_path, settings, max_epochs=1)
    train(session, "mine")
    assert "Words" in history(session, "mine")[0]


@pytest.mark.parametrize("encoder", ["light", "ecapa_tdnn"])
def test_trnets_other_parts_train(tiny, tmp_path, encoder):
    options = {"light": {"channels": 8}, "ecapa_tdnn": {"channels": 8, "out_channels": 8, "scale": 2, "attention": 4}}
    parts = {"encoder": {"type": encoder, **options[encoder]}, "pooling": {"type": "statistics", "attention": 4}}
    session = with_settings(tiny, tmp_path, parts, max_epochs=2)
    train(session, "baseline_c")
    first, second = history(session, "baseline_c")
    assert second["loss"] < first["loss"]
