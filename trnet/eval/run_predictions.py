"""A trained run's predictions.csv: its test speaker, or all of another corpus, under every test condition."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from trnet.conditions import CLEAN, Condition
from trnet.eval.other_corpus import OtherCorpus
from trnet.eval.predictions import make_predictions, write_predictions
from trnet.features.cache import Item
from trnet.folds import Fold
from trnet.runs.checkpoint import load_checkpoint, load_weights
from trnet.runs.experiment import Experiment
from trnet.train.batches import BatchReader
from trnet.train.forward import input_kinds, make_model
from trnet.train.inference import Answer, decode
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, digest, file_digest, read_stamp

BATCH = 64
Run = tuple[str, Fold, int]
"""System, fold, seed."""


def predictions_path(folder: Path, other: OtherCorpus | None = None) -> Path:
    """Where a run's predictions lie: of its test speaker, or of another corpus."""
    return folder / ("predictions.csv" if other is None else f"predictions_{other.corpus}.csv")


def predict_run(experiment: Experiment, run: Run, noisy: list[Condition], other: OtherCorpus | None = None) -> None:
    """Write the predictions of one run, on clean test speech and under the conditions `noisy`.

    Predictions that are there stay if they have these conditions, and others too.

    Raises:
        TrnetError: The run is not trained under this configuration, or features are missing.
    """
    folder = experiment.run_folder(*run)
    if not experiment.trained(*run):
        raise TrnetError(f"{folder}: not trained (to the end, with this configuration); run stages 5 and 6")
    conditions = [CLEAN, *noisy]
    tested = other or experiment
    made_from = {
        "checkpoint": file_digest(folder / "best.pt"),
        "features": tested.features_of(experiment.config.system(run[0]), conditions),
    }
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
        write_predictions(path, _predictions(experiment, run, conditions, other))
        stamp.finish({path.name: file_digest(path)})


def _step(other: OtherCorpus | None) -> str:
    return "score" if other is None else f"score_{other.corpus}"


def are_whole(folder: Path, other: OtherCorpus | None = None) -> bool:
    """Whether a run's predictions are there as they were written; older versions kept no digest to tell that by."""
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
    experiment: Experiment, run: Run, items: Sequence[Item], with_h: bool = False, other: OtherCorpus | None = None
) -> dict[Item, Answer]:
    """Predictions of a run's chosen epoch for items of its own corpus or of another.

    Raises:
        TrnetError: The checkpoint does not fit, or features are missing.
    """
    system = experiment.config.system(run[0])
    checkpoint = experiment.run_folder(*run) / "best.pt"
    model = make_model(experiment.config, system, len(experiment.classes))
    load_weights(model, load_checkpoint(checkpoint, "model")["model"], checkpoint)
    tested = other or experiment
    reader = BatchReader(tested.store, tested.labels, input_kinds(system))
    return decode(model.to(experiment.device), system, reader, items, BATCH, with_h)


def _predictions(
    experiment: Experiment, run: Run, conditions: list[Condition], other: OtherCorpus | None
) -> pd.DataFrame:
    name, fold, seed = run
    frontend = experiment.config.frontend if experiment.config.system(name).hears_front_end else "raw"
    tested = str(fold.number) if other is None else other.fold_name(fold.number)
    emotion = (other or experiment).data["utt2emo"]
    items = [(utt, condition) for condition in conditions for utt in (fold.test if other is None else other.data.utts)]
    found = predict(experiment, run, items, other=other)
    rows = []
    for utt, condition in items:
        probs, c, _ = found[utt, condition]
        where = (name, frontend, tested, seed, condition.noise or "clean", condition.snr_db)
        rows.append((*where, utt, emotion[utt], experiment.classes[int(probs.argmax())], c, *probs.tolist()))
    return make_predictions(rows, experiment.classes)
