"""The linear probe as a system: trained as the others are, on the same features, folds and noises."""

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from trnet.conditions import Condition
from trnet.eval.peers import PeerRow
from trnet.features.archive import check_archive, features_digest
from trnet.features.reader import FeatureReader
from trnet.folds import Fold
from trnet.probe.classifier import Items, train_probe
from trnet.runs.dataset import Dataset
from trnet.runs.experiment import Experiment
from trnet.utils.threads import in_threads
from trnet.utils.workers import imap

KIND = "noisy"  # speech as it is, without enhancement

Pooled = Mapping[Condition, np.ndarray]
"""Statistics (utts, 2 dim) of a corpus's utterances, in its order, by condition."""

_reader: FeatureReader  # of a worker process


def dumped_features(experiment: Experiment, conditions: Sequence[Condition]) -> dict[str, str]:
    """Digests of the dumped features of conditions. TrnetError for what is missing or of other settings or audio."""
    found = {}
    for condition in conditions:
        folder = experiment.reader.folder(KIND, condition)
        data = experiment.data.path.parent / condition.data_name(experiment.dataset.corpus)
        check_archive(folder, data, experiment.config.features)
        found[condition.name] = features_digest(folder)
    return found


def pool_features(experiment: Experiment, conditions: Sequence[Condition], nj: int) -> Pooled:
    """Mean and standard deviation over time of the dumped features of each utterance under each condition.

    Raises:
        TrnetError: For features that are missing or damaged.
    """
    utts, reader = experiment.dataset.utts, experiment.reader
    jobs = [(condition, utt) for condition in conditions for utt in utts]
    start = (reader.dump, reader.frontend, reader.corpus, reader.dim)
    rows = imap(_pooled, jobs, nj, "pool", initializer=_begin, initargs=start, worth=2000, chunk=64)
    with contextlib.closing(rows):
        return {condition: np.stack([next(rows) for _ in utts]) for condition in conditions}


def _begin(*start: object) -> None:
    global _reader
    _reader = FeatureReader(*start)  # type: ignore[arg-type]


def _pooled(job: tuple[Condition, str]) -> np.ndarray:
    condition, utt = job
    matrix = _reader.matrix(KIND, utt, condition)
    statistics = [matrix.mean(axis=0, dtype=np.float64), matrix.std(axis=0, dtype=np.float64)]
    return np.concatenate(statistics).astype(np.float32)


def predict_folds(
    dataset: Dataset,
    pooled: Pooled,
    trained_on: Sequence[Condition],
    tested: Sequence[Condition],
    folds: Sequence[Fold],
    threads: int,
) -> list[PeerRow]:
    """Train a probe on each fold's training speakers, and predict its test speaker's utterances.

    Args:
        dataset: Whose utterances `pooled` is of.
        pooled: By each condition that is trained on or tested.
        trained_on: Conditions of training, and of the choice of C by the validation speakers.
        tested: Conditions of the predictions.
        folds: Which ones.
        threads: Folds at a time, a thread each.

    Returns:
        Rows fold by fold, condition by condition, with probabilities.

    Raises:
        TrnetError: For a fold that does not train on each class.
    """
    for fold in folds:
        dataset.check_classes(fold)
    row = {utt: number for number, utt in enumerate(dataset.utts)}
    labels = np.array([dataset.labels[utt] for utt in dataset.utts])

    def predict(fold: Fold, _line: int) -> list[PeerRow]:
        train, valid, test = ([row[utt] for utt in utts] for utts in (fold.train, fold.valid, fold.test))
        probe = train_probe(
            Items(
                np.concatenate([pooled[condition][train] for condition in trained_on]),
                np.tile(labels[train], len(trained_on)),
            ),
            [Items(pooled[condition][valid], labels[valid]) for condition in trained_on],
        )
        rows = []
        for condition in tested:
            for utt, of_classes in zip(fold.test, probe.probabilities(pooled[condition][test]), strict=True):
                known = dict(zip(dataset.classes, map(float, of_classes), strict=True))
                label = dataset.classes[int(of_classes.argmax())]
                rows.append(PeerRow(utt, label, condition.name, fold.number, probabilities=known))
        return rows

    with threadpool_limits(1):
        found = list(in_threads(predict, folds, threads, "probe", "fold"))
    return [row for rows in sorted(found, key=lambda rows: rows[0].fold or 0) for row in rows]
