"""Predictions from elsewhere: a CSV of utterances, labels and conditions, read strictly against an experiment.

The columns are ``utt_id`` (or ``utterance``), ``label`` (or ``pred``: the predicted class) and ``condition``
(``clean``, ``esc_10db``; or the two columns ``noise,snr_db``), in any order. There may be ``fold``, ``seed``, and a
column of probability for each class. What such a file says becomes rows of predictions.csv.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from trnet.conditions import Condition, condition_named
from trnet.eval.csv_files import PathLike, check_rows, optional, read_checked_csv
from trnet.eval.predictions import PREDICTION, make_predictions
from trnet.runs.experiment import Experiment
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_text
from trnet.utils.numbers import whole
from trnet.utils.text import shorten

ALIASES = {"utterance": "utt_id", "pred": "label"}
NEEDED = ("utt_id", "label", "condition")
NO_SEED = 0  # those of this package count from 1


@dataclass(frozen=True)
class PeerRow:
    """What was predicted for one utterance under one condition.

    utt_id: As in the clean data dir. label: The predicted class. condition: `Condition.name`. fold: Number of the fold
    in which the utterance is tested (None: found by the utterance). seed: From 1; 0 where there is no such thing.
    probabilities: Of each class; empty where they are not known.
    """

    utt_id: str
    label: str
    condition: str = "clean"
    fold: int | None = None
    seed: int = NO_SEED
    probabilities: Mapping[str, float] = field(default_factory=dict)


def write_peer_csv(path: PathLike, rows: Iterable[PeerRow]) -> None:
    """Write predictions as read_peer_csv and ``trnet.bin.add_system`` take them, whole or not at all; see peer_csv."""
    write_text(Path(path), peer_csv(rows))


def peer_csv(rows: Iterable[PeerRow]) -> str:
    """The text of a file of predictions, rows in the order given; fold, seed, probabilities only where one has them."""
    found = list(rows)
    frame = pd.DataFrame([(row.utt_id, row.label, row.condition) for row in found], columns=list(NEEDED))
    frame["fold"] = ["" if row.fold is None else str(row.fold) for row in found]
    frame["seed"] = [row.seed for row in found]
    for name in dict.fromkeys(name for row in found for name in row.probabilities):
        frame[name] = [row.probabilities.get(name) for row in found]
    return table_csv(frame)


def table_csv(frame: pd.DataFrame) -> str:
    """The text of a file that read_peer_csv makes this frame of, without the columns that say nothing."""
    empty = {"fold": frame["fold"].eq("").all(), "seed": frame["seed"].eq(NO_SEED).all()}
    empty |= {name: frame[name].isna().all() for name in map(str, frame.columns) if name not in (*NEEDED, *empty)}
    said = frame.drop(columns=[name for name, nothing in empty.items() if nothing])
    return said.to_csv(index=False, float_format="%.6f", lineterminator="\n")


def read_peer_csv(path: PathLike, classes: Sequence[str], labels: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A row a line of the file, indexed by the line's number, with the columns of NEEDED, fold, seed and the classes.

    Args:
        path: The CSV file.
        classes: The classes of the experiment.
        labels: What the file calls classes by, and which class that is.

    Returns:
        A frame; seed is NO_SEED, fold an empty text and probabilities NaN where the file has none. Conditions are
        written as `Condition.name` does.

    Raises:
        TrnetError: For a file that cannot be read, a header with unknown, missing or repeated columns, a malformed
            field, an unknown class.
    """
    labels = dict(labels or {})
    frame = read_checked_csv(path, {})
    names = [ALIASES.get(name, labels.get(name, name)) for name in frame.columns]
    given = [name for name in names if name in classes]
    kinds = [["noise", "snr_db"] if "noise" in names else ["condition"], ["utt_id"], ["label"]]
    needed = [name for kind in kinds for name in kind]
    for wrong, why in (
        ([name for name in needed if name not in names], "is missing"),
        ([name for name in names if names.count(name) > 1], "is there twice (pred is label, utterance is utt_id)"),
        ([name for name in names if name not in (*needed, "fold", "seed", *classes)], "is unknown; remove it"),
        (
            [name for name in classes if given and name not in given],
            "is missing: give each class a probability, or none",
        ),
    ):
        if wrong:
            raise TrnetError(
                f"{path}:1: column {wrong[0]} {why}; the header is utt_id,label,condition and, where known, fold,seed,"
                f"{','.join(classes)}"
            )
    frame = frame.set_axis(names, axis=1)
    frame["label"] = frame["label"].map(lambda label: labels.get(label, label))
    check_rows(path, frame, [(~frame["label"].isin(list(classes)), lambda row: _unknown_label(row["label"], classes))])
    if "noise" in frame:
        noisy = frame["noise"] + "_" + frame["snr_db"] + "db"
        frame["condition"] = noisy.where(frame["noise"].ne("clean") | frame["snr_db"].ne(""), "clean")
    frame["condition"] = _mapped(path, frame["condition"], lambda text: condition_named(text).name)
    if "seed" in frame:
        frame["seed"] = _mapped(path, frame["seed"], lambda text: whole(text, NO_SEED))
    for name in given:
        frame[name] = _mapped(path, frame[name], optional)
    missing: dict[str, str | float] = {"fold": "", "seed": NO_SEED, **dict.fromkeys(classes, float("nan"))}
    for name in missing.keys() - set(names):
        frame[name] = missing[name]
    return frame[[*NEEDED, "fold", "seed", *classes]]


def _unknown_label(label: str, classes: Sequence[str]) -> str:
    return (
        f"class '{label}' but the classes are {','.join(classes)} (--labels \"{label or 'NAME'}={classes[0]}\" maps it)"
    )


def _mapped(path: PathLike, column: pd.Series, read: Callable[[str], object]) -> pd.Series:
    """A column of texts read; TrnetError naming the line of the first that cannot be."""
    values: dict[str, object] = {}
    for text in column.unique():
        try:
            values[text] = read(text)
        except (ValueError, TrnetError) as error:
            line = column.index[column == text][0]
            raise TrnetError(f"{path}:{line}: {column.name}: {error}; mend or remove the row") from None
    return column.map(values)


def peer_predictions(
    path: PathLike,
    system: str,
    experiment: Experiment,
    folds: Collection[int],
    labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Rows of predictions.csv of a peer's file, in the file's order.

    It must have every test utterance of `folds`, and of each other fold that it has any of, once under each of its
    conditions with each of its seeds. An utterance may also be called as in a noisy data dir (``a-esc_10db``).

    Args:
        path: The CSV file.
        system: What the rows are to be called.
        experiment: Whose corpus, folds, noisy sets and classes they must fit.
        folds: Numbers of the folds that it must have.
        labels: What the file calls classes by, and which class that is.

    Raises:
        TrnetError: As read_peer_csv; for an utterance or condition that is unknown, missing or there twice, another
            fold than the one an utterance is tested in, or probabilities that do not sum to 1.
    """
    classes, emotion = experiment.dataset.classes, experiment.data["utt2emo"]
    frame = read_peer_csv(path, classes, labels)
    conditions = {name: condition_named(name) for name in frame["condition"].unique()}
    pairs = zip(frame["utt_id"], frame["condition"], strict=True)
    frame["utt_id"] = [utt if utt in emotion else utt.removesuffix(f"-{name}") for utt, name in pairs]
    home = {utt: str(fold.number) for fold in experiment.dataset.folds for utt in fold.test}
    frame["home"] = frame["utt_id"].map(home)
    probs = frame[list(classes)]
    known = probs.notna().all(axis=1) & ((probs.sum(axis=1) - 1).abs() <= 0.01) & (probs.min(axis=1) >= 0)
    absent = {name for name, condition in conditions.items() if not _data_of(experiment, condition).is_dir()}
    check_rows(
        path,
        frame,
        [
            (
                ~frame["utt_id"].isin(list(emotion)),
                lambda row: f"utterance '{row['utt_id']}' is not in {experiment.data.path}",
            ),
            (frame["home"].isna(), lambda row: f"utterance {row['utt_id']} is tested in no fold"),
            (
                frame["condition"].isin(absent),
                lambda row: (
                    f"condition {row['condition']}: there is no {_data_of(experiment, conditions[row['condition']])}"
                ),
            ),
            (
                frame["fold"].ne("") & frame["fold"].ne(frame["home"]),
                lambda row: f"fold is {row['fold']}, but {row['utt_id']} is tested in fold {row['home']}",
            ),
            (
                ~known & probs.notna().any(axis=1),
                lambda row: (
                    f"probabilities sum to {row[list(classes)].sum():g}, are negative or missing; they must sum to 1"
                ),
            ),
            (
                frame.duplicated(["utt_id", "condition", "seed"]),
                lambda row: f"{row['utt_id']} under {row['condition']} with seed {row['seed']} appears a second time",
            ),
        ],
    )
    _check_whole(path, frame, experiment, folds)
    rows = frame.assign(
        system=system,
        frontend="",
        fold=frame["home"],
        noise=frame["condition"].map({name: one.noise or "clean" for name, one in conditions.items()}),
        snr_db=frame["condition"].map({name: one.snr_db for name, one in conditions.items()}),
        pred=frame["label"],
        label=frame["utt_id"].map(emotion),
        c=None,
    )
    return make_predictions(rows[[*PREDICTION, *classes]].to_numpy(dtype=object), classes).astype({"seed": int})


def _data_of(experiment: Experiment, condition: Condition) -> Path:
    return experiment.data.path.parent / condition.data_name(experiment.dataset.corpus)


def _check_whole(path: PathLike, frame: pd.DataFrame, experiment: Experiment, folds: Collection[int]) -> None:
    """TrnetError unless each seed has the same conditions, and each condition all test utterances of the folds."""
    numbers = {*folds, *map(int, frame["home"].unique())}
    tested = [utt for fold in experiment.dataset.folds if fold.number in numbers for utt in fold.test]
    every = list(dict.fromkeys(frame["condition"]))
    for seed, rows in frame.groupby("seed"):
        of_seed = f" with seed {seed}" if seed != NO_SEED else ""
        if lacking := [name for name in every if name not in set(rows["condition"])]:
            raise TrnetError(f"{path}: nothing under {lacking[0]}{of_seed}; predict it with each seed, or with none")
        for name, items in rows.groupby("condition", sort=False):
            there = set(items["utt_id"])
            if missing := [utt for utt in tested if utt not in there]:
                raise TrnetError(
                    f"{path}: {name}{of_seed} lacks {len(missing)} of the {len(tested)} test utterances "
                    f"({shorten(missing, 3)}); predict them too, or leave the whole condition out"
                )
