"""A trained run's predictions.csv: its test speaker, or all of another corpus, under every test condition."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trnet.conditions import CLEAN, Condition
from trnet.eval.other_corpus import OtherCorpus
from trnet.eval.predictions import Prediction, write_predictions
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


def predictions_path(folder: Path, other: OtherCorpus | None = None) -> Path:
    """Where a run's predictions lie: of its test speaker, or of another corpus."""
    return folder / ("predictions.csv" if other is None else f"predictions_{other.corpus}.csv")


def predict_run(
    experiment: Experiment,
    name: str,
    fold: Fold,
    seed: int,
    noisy: list[Condition],
    other: OtherCorpus | None = None,
) -> None:
    """Write the predictions of one run, on clean test speech and under the conditions `noisy`.

    What is there stays where it has these conditions, and others too.

    Raises: TrnetError if the run is not trained under this configuration, or features are missing.
    """
    folder = experiment.run_folder(name, fold, seed)
    if not experiment.trained(name, fold, seed):
        raise TrnetError(f"{folder}: not trained (to the end, with this configuration); run stages 5 and 6")
    system, checkpoint = experiment.config.system(name), folder / "best.pt"
    conditions = [CLEAN, *noisy]
    tested = other or experiment
    made_from = {"checkpoint": file_digest(checkpoint), "features": tested.features_of(system, conditions)}
    if other is not None:
        made_from["labels"] = digest(other.data["utt2emo"])
    path = predictions_path(folder, other)
    stamp = Stamp(folder, _step(other), made_from)
    if _covers(read_stamp(stamp.path), stamp.made_from):
        if are_whole(folder, other):
            return
        print(f"{path}: is gone or was changed; the run is asked again")
    with only_one(folder):
        stamp.begin(clear=lambda: None)
        rows = _predict(experiment, name, fold, seed, conditions, other)
        write_predictions(path, rows, experiment.classes)
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
    whole = old.get("state") == "done" and isinstance(features, dict)
    return whole and {**there, "features": {**wanted["features"], **features}} == {**wanted, "features": features}


def answers_of(
    experiment: Experiment,
    name: str,
    fold: Fold,
    seed: int,
    items: Sequence[Item],
    with_h: bool = False,
    other: OtherCorpus | None = None,
) -> dict[Item, Answer]:
    """What the chosen epoch of a run says of each item, of its own corpus or of another.

    Raises: TrnetError if the checkpoint does not fit, or features are missing.
    """
    system = experiment.config.system(name)
    checkpoint = experiment.run_folder(name, fold, seed) / "best.pt"
    model = make_model(experiment.config, system, len(experiment.classes))
    load_weights(model, load_checkpoint(checkpoint, "model")["model"], checkpoint)
    tested = other or experiment
    reader = BatchReader(tested.store, tested.labels, input_kinds(system))
    return decode(model.to(experiment.device), system, reader, items, BATCH, with_h)


def _predict(
    experiment: Experiment,
    name: str,
    fold: Fold,
    seed: int,
    conditions: list[Condition],
    other: OtherCorpus | None,
) -> list[Prediction]:
    system = experiment.config.system(name)
    utts = fold.test if other is None else other.data.utts
    emotion = (other or experiment).data["utt2emo"]
    items = [(utt, condition) for condition in conditions for utt in utts]
    answers = answers_of(experiment, name, fold, seed, items, other=other)
    rows = []
    for utt, condition in items:
        probs, c, _ = answers[utt, condition]
        rows.append(
            Prediction(
                system=name,
                frontend=experiment.config.frontend if system.hears_front_end else "raw",
                fold=str(fold.number) if other is None else other.fold_name(fold.number),
                seed=seed,
                noise=condition.noise or "clean",
                snr_db=condition.snr_db,
                utt_id=utt,
                label=emotion[utt],
                pred=experiment.classes[int(probs.argmax())],
                c=c,
                probs=tuple(float(p) for p in probs),
            )
        )
    return rows
