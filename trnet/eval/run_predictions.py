"""A trained run's predictions.csv: its test speaker under every test condition."""

from collections.abc import Sequence

from trnet.conditions import CLEAN, Condition
from trnet.errors import TrnetError
from trnet.eval.predictions import Prediction, write_predictions
from trnet.experiment import Experiment
from trnet.folds import Fold
from trnet.lock import only_one
from trnet.stamp import Stamp, file_digest
from trnet.train.checkpoint import load_checkpoint, load_weights
from trnet.train.data import BatchReader
from trnet.train.decode import Answer, decode
from trnet.train.forward import input_kinds, make_model
from trnet.train.store import Item

BATCH = 64


def predict_run(experiment: Experiment, name: str, fold: Fold, seed: int, noisy: list[Condition]) -> None:
    """Write ``predictions.csv`` of one run, on clean test speech and under the conditions `noisy`.

    Raises: TrnetError if the run is not trained under this configuration, or features are missing.
    """
    folder = experiment.run_folder(name, fold, seed)
    if not experiment.trained(name, fold, seed):
        raise TrnetError(f"{folder}: not trained (to the end, with this configuration); run stages 5 and 6")
    system, checkpoint = experiment.config.system(name), folder / "best.pt"
    conditions = [CLEAN, *noisy]
    made_from = {"checkpoint": file_digest(checkpoint), "features": experiment.features_of(system, conditions)}
    stamp = Stamp(folder, "score", made_from)
    if stamp.done() and (folder / "predictions.csv").is_file():
        return
    with only_one(folder):
        stamp.begin(clear=lambda: None)
        rows = _predict(experiment, name, fold, seed, conditions)
        write_predictions(folder / "predictions.csv", rows, experiment.classes)
        stamp.finish()


def answers_of(
    experiment: Experiment, name: str, fold: Fold, seed: int, items: Sequence[Item], with_h: bool = False
) -> dict[Item, Answer]:
    """What the chosen epoch of a run says of each item.

    Raises: TrnetError if the checkpoint does not fit, or features are missing.
    """
    system = experiment.config.system(name)
    checkpoint = experiment.run_folder(name, fold, seed) / "best.pt"
    model = make_model(experiment.config, system, len(experiment.classes))
    load_weights(model, load_checkpoint(checkpoint)["model"], checkpoint)
    reader = BatchReader(experiment.store, experiment.labels, input_kinds(system))
    return decode(model.to(experiment.device), system, reader, items, BATCH, with_h)


def _predict(experiment: Experiment, name: str, fold: Fold, seed: int, conditions: list[Condition]) -> list[Prediction]:
    system = experiment.config.system(name)
    items = [(utt, condition) for condition in conditions for utt in fold.test]
    answers = answers_of(experiment, name, fold, seed, items)
    rows = []
    for utt, condition in items:
        probs, c, _ = answers[utt, condition]
        rows.append(
            Prediction(
                system=name,
                frontend=experiment.config.frontend if system.hears_front_end else "raw",
                fold=str(fold.number),
                seed=seed,
                noise=condition.noise or "clean",
                snr_db=condition.snr_db,
                utt_id=utt,
                label=experiment.data["utt2emo"][utt],
                pred=experiment.classes[int(probs.argmax())],
                c=c,
                probs=tuple(float(p) for p in probs),
            )
        )
    return rows
