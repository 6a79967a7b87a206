"""A trained run's predictions.csv: its test speaker, or all of another corpus, under every test condition."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from trnet.conditions import CLEAN, Condition
from trnet.eval.other_corpus import OtherCorpus
from trnet.eval.predictions import make_predictions, write_predictions
from trnet.features.cache import Item
from trnet.model.systems import make_system
from trnet.runs.checkpoint import load_weights
from trnet.runs.spec import RunSpec
from trnet.train.batches import BatchReader
from trnet.train.fast_jobs import scoring_widths
from trnet.train.inference import UtterancePrediction, infer
from trnet.train.session import Session
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, digest, file_digest, read_stamp

BATCH = 64


def predictions_path(folder: Path, other: OtherCorpus | None = None) -> Path:
    """Where a run's predictions lie: of its test speaker, or of another corpus."""
    return folder / ("predictions.csv" if other is None else f"predictions_{other.dataset.corpus}.csv")


def predict_run(session: Session, run: RunSpec, noisy: list[Condition], other: OtherCorpus | None = None) -> None:
    """Write the predictions of one run, on clean test speech and under the conditions `noisy`.

    Predictions that are there stay if they have these conditions, and others too.
    """
    session, other = session.of(run.fold), None if other is None else other.of(run.fold)
    folder, experiment = run.folder, session.experiment
    if experiment.finished(run) is None:
        raise TrnetError(f"{folder}: not trained (to the end, with this configuration); run stages 5 and 6")
    conditions = [CLEAN, *noisy]
    features = (other or experiment).features_of(run.system, conditions)
    made_from: dict[str, Any] = {"checkpoint": run.digest(), "features": features}
    if other is not None:
        made_from["labels"] = digest(other.data["utt2emo"])
    path = predictions_path(folder, other)
    stamp = Stamp(folder, _step(other), made_from)
    if _covers(read_stamp(stamp.path), stamp.made_from):
        if are_whole(folder, other):
            return
        logging.getLogger(__name__).info("%s: is gone or was changed; it is written again", path)
    with only_one(folder):
        stamp.begin(clear=lambda: None)
        write_predictions(path, _predictions(session, run, conditions, other))
        stamp.finish({path.name: file_digest(path)})


def _step(other: OtherCorpus | None) -> str:
    return "score" if other is None else f"score_{other.dataset.corpus}"


def are_whole(folder: Path, other: OtherCorpus | None = None) -> bool:
    """Whether a run's predictions are there as they were written; older versions kept no digest of them."""
    path = predictions_path(folder, other)
    known = read_stamp(folder / f".{_step(other)}.json").get("results", {}).get(path.name)
    return path.is_file() and known in (None, file_digest(path))


def _covers(old: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a finished stamp is of predictions under all conditions that are wanted."""
    there = old.get("made_from", {})
    features = there.get("features")
    done = old.get("state") == "done" and isinstance(features, dict)
    return done and {**there, "features": {**wanted["features"], **features}} == {**wanted, "features": features}


def predict(
    session: Session, run: RunSpec, items: Sequence[Item], with_h: bool = False, other: OtherCorpus | None = None
) -> dict[Item, UtterancePrediction]:
    """Predictions of a run's chosen epoch for items of its own corpus or of another."""
    session, other = session.of(run.fold), None if other is None else other.of(run.fold)
    model = session.experiment.config.model(run.system)
    system = make_system(model, len(session.experiment.dataset.classes))
    load_weights(system, run.read_best()["model"], run.best)
    tested = session if other is None else replace(session, experiment=other)
    gate = None if model.gate_features is None else tested.gate_cache
    waves = tested.waves if model.mixes_waveforms else None
    inputs = () if model.mixes_waveforms else model.system.inputs
    reader = BatchReader(tested.cache, tested.experiment.dataset.labels, inputs, gate=gate, waves=waves)
    widths = None if waves is not None else scoring_widths(session.experiment.config, tested.cache, gate)
    return infer(system.to(session.device), reader, items, BATCH, with_h, widths)


def _predictions(
    session: Session, run: RunSpec, conditions: list[Condition], other: OtherCorpus | None
) -> pd.DataFrame:
    config, classes = session.experiment.config, session.experiment.dataset.classes
    frontend = config.frontend if config.system(run.system).uses_frontend else "raw"
    fold = str(run.fold.number) if other is None else other.fold_name(run.fold.number)
    emotion = (other or session.experiment).data["utt2emo"]
    utts = run.fold.test if other is None else other.data.utts
    items = [(utt, condition) for condition in conditions for utt in utts]
    found = predict(session, run, items, other=other)
    rows = []
    for utt, condition in items:
        probs, c, _ = found[utt, condition]
        where = (run.system, frontend, fold, run.seed, condition.noise or "clean", condition.snr_db)
        rows.append((*where, utt, emotion[utt], classes[int(probs.argmax())], c, *probs.tolist()))
    return make_predictions(rows, classes)
