"""The files predictions.csv (one row per utterance) and results.csv (one row per condition)."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from sys import intern

from trnet.eval.csv_files import PathLike, integer, number, read_rows
from trnet.metrics import uar, war
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_text

SYSTEMS = ("baseline_c", "baseline_n", "baseline_e", "trnet", "trnet_wo_low", "trnet_wo_high")
NOISES = ("clean", "esc", "musan")
POOLED = "all"  # the fold of a result that pools the test items of every fold


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one trained system said of one utterance in one test condition.

    ``snr_db`` is in dB and None for clean speech; ``c`` is the SNR coefficient in [0, 1],
    None where the system has none; ``probs`` are in the order of the file's classes.
    """

    system: str
    frontend: str
    fold: str
    seed: int
    noise: str
    snr_db: float | None
    utt_id: str
    label: str
    pred: str
    c: float | None
    probs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Score of one system, fold and seed in one test condition; UAR and WAR in percent."""

    system: str
    frontend: str
    fold: str
    seed: int
    noise: str
    snr_db: float | None
    n_utts: int
    uar: float
    war: float


@dataclass(frozen=True, slots=True)
class Predictions:
    """Rows of predictions and the classes that their probabilities belong to."""

    classes: tuple[str, ...]
    rows: list[Prediction]


PREDICTION_COLUMNS = tuple(field.name for field in fields(Prediction))[:-1]
RESULT_COLUMNS = tuple(field.name for field in fields(Result))


def natural_key(text: str) -> tuple[str | tuple[int, str], ...]:
    """Sort key that puts fold 2 before fold 10, whatever the number of digits."""
    parts = re.split(r"0*([0-9]+)", text)
    return tuple((len(part), part) if i % 2 else part for i, part in enumerate(parts))


def system_key(system: str) -> tuple[int, str]:
    """Sort key of the systems: the order of the paper's Table 1, then by name."""
    return (SYSTEMS.index(system) if system in SYSTEMS else len(SYSTEMS), system)


def noise_key(noise: str) -> tuple[int, str]:
    """Sort key of the noise sets: clean, esc, musan, then by name."""
    return (NOISES.index(noise) if noise in NOISES else len(NOISES), noise)


def snr_text(snr_db: float | None) -> str:
    """An SNR in dB as written in the CSV files (20 rather than 20.0), empty for clean."""
    return "" if snr_db is None else f"{snr_db:g}"


def _check_condition(row: Prediction | Result) -> None:
    for name in ("system", "fold", "noise"):
        if not getattr(row, name):
            raise ValueError(f"{name} is empty")
    if (row.noise == "clean") != (row.snr_db is None):
        raise ValueError(
            f"noise is {row.noise!r} and snr_db {snr_text(row.snr_db)!r} but snr_db must be "
            "empty for clean and given for any other noise"
        )


def _check_prediction(row: Prediction, classes: Sequence[str]) -> None:
    """Raise ValueError, with the reason, when the row is not a prediction among ``classes``."""
    _check_condition(row)
    if not row.utt_id:
        raise ValueError("utt_id is empty")
    for name, value in (("label", row.label), ("pred", row.pred)):
        if value not in classes:
            raise ValueError(f"{name} is {value!r} but the classes are {','.join(classes)}")
    if row.c is not None and not -1e-6 <= row.c <= 1 + 1e-6:
        raise ValueError(f"c is {row.c:g} but must lie in [0, 1]")
    if len(row.probs) != len(classes):
        raise ValueError(f"{len(row.probs)} probabilities for {len(classes)} classes")
    total = sum(row.probs)
    if not (abs(total - 1.0) <= 0.01 and min(row.probs) >= 0.0):
        raise ValueError(f"the probabilities sum to {total:g} or are negative but must sum to 1")


def _parse_prediction(values: list[str], classes: tuple[str, ...]) -> Prediction:
    system, frontend, fold, seed, noise, snr, utt, label, pred, c = map(intern, values[:10])
    row = Prediction(
        system, frontend, fold, integer("seed", seed), noise,
        number("snr_db", snr) if snr else None, utt, label, pred,
        number("c", c) if c else None,
        tuple(number(name, p) for name, p in zip(classes, values[10:], strict=True)),
    )  # fmt: skip
    _check_prediction(row, classes)
    return row


def _parse_result(values: list[str], _extra: tuple[str, ...]) -> Result:
    system, frontend, fold, seed, noise, snr, n_utts, uar_text, war_text = values[:9]
    row = Result(
        system, frontend, fold, integer("seed", seed), noise,
        number("snr_db", snr) if snr else None, integer("n_utts", n_utts),
        number("uar", uar_text), number("war", war_text),
    )  # fmt: skip
    _check_condition(row)
    if not (0 <= row.uar <= 100 and 0 <= row.war <= 100):
        raise ValueError("uar and war must lie in [0, 100]")
    return row


def read_predictions(paths: PathLike | Iterable[PathLike]) -> Predictions:
    """Read one or more predictions.csv files as one.

    Raises TrnetError for a malformed row, a missing column, files with different classes,
    an utterance given twice in one system, fold, seed and condition (whatever the front
    end), or one utterance with two labels.
    """
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    rows: list[Prediction] = []
    classes: tuple[str, ...] = ()
    seen: dict[tuple[object, ...], set[str]] = {}
    labels: dict[str, str] = {}
    for path in map(Path, files):
        extra, parsed = read_rows(path, PREDICTION_COLUMNS, _parse_prediction)
        if len(extra) < 2:
            raise TrnetError(f"{path}:1: {len(extra)} class columns after c: give two or more")
        classes = classes or extra
        if extra != classes:
            raise TrnetError(
                f"{path}:1: the classes are {','.join(extra)} but {','.join(classes)} in "
                f"{files[0]}: report files of one class list together"
            )
        for line, row in parsed:
            utts = seen.setdefault((row.system, row.fold, row.seed, row.noise, row.snr_db), set())
            if row.utt_id in utts:
                raise TrnetError(
                    f"{path}:{line}: utterance {row.utt_id} of {row.system}, fold {row.fold}, "
                    f"seed {row.seed}, {row.noise} {snr_text(row.snr_db)} appears a second "
                    "time: remove one, or give each run's file once"
                )
            if labels.setdefault(row.utt_id, row.label) != row.label:
                raise TrnetError(
                    f"{path}:{line}: utterance {row.utt_id} is labelled {row.label} here but "
                    f"{labels[row.utt_id]} before: mend the label"
                )
            utts.add(row.utt_id)
            rows.append(row)
    if not rows:
        raise TrnetError("no predictions files given: name at least one predictions.csv")
    return Predictions(classes, rows)


def write_predictions(path: PathLike, rows: Iterable[Prediction], classes: Sequence[str]) -> None:
    """Write predictions.csv atomically, in the order given; numbers to six decimals.

    Raises TrnetError for a row that read_predictions would refuse.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*PREDICTION_COLUMNS, *classes])
    for line, row in enumerate(rows, start=2):
        try:
            _check_prediction(row, classes)
        except ValueError as error:
            raise TrnetError(f"{path}:{line}: {error}: mend the row to be written") from error
        writer.writerow([
            row.system, row.frontend, row.fold, row.seed, row.noise, snr_text(row.snr_db),
            row.utt_id, row.label, row.pred, "" if row.c is None else f"{row.c:.6f}",
            *(f"{p:.6f}" for p in row.probs),
        ])  # fmt: skip
    write_text(Path(path), text.getvalue())


def read_results(paths: PathLike | Iterable[PathLike]) -> list[Result]:
    """Read one or more results.csv files; raises TrnetError for a malformed or repeated row."""
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: dict[tuple[object, ...], Result] = {}
    for path in map(Path, files):
        for line, row in read_rows(path, RESULT_COLUMNS, _parse_result)[1]:
            key = (row.system, row.frontend, row.fold, row.seed, row.noise, row.snr_db)
            if key in found:
                raise TrnetError(f"{path}:{line}: this condition appears a second time: remove one")
            found[key] = row
    return list(found.values())


def write_results(path: PathLike, rows: Iterable[Result]) -> None:
    """Write results.csv atomically, in the order given; UAR and WAR to four decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RESULT_COLUMNS)
    for row in rows:
        writer.writerow([
            row.system, row.frontend, row.fold, row.seed, row.noise, snr_text(row.snr_db),
            row.n_utts, f"{row.uar:.4f}", f"{row.war:.4f}",
        ])  # fmt: skip
    write_text(Path(path), text.getvalue())


def score(predictions: Predictions, *, by_fold: bool = True) -> list[Result]:
    """UAR and WAR per system, front end, fold, seed and condition, in table order.

    With ``by_fold=False`` the items of all folds are scored together, as fold ``all``.
    """
    groups: dict[tuple[object, ...], tuple[list[str], list[str]]] = {}
    for row in predictions.rows:
        fold = row.fold if by_fold else POOLED
        key = (row.system, row.frontend, fold, row.seed, row.noise, row.snr_db)
        labels, preds = groups.setdefault(key, ([], []))
        labels.append(row.label)
        preds.append(row.pred)
    results = [
        Result(*key, len(labels), uar(labels, preds), war(labels, preds))  # type: ignore[arg-type]
        for key, (labels, preds) in groups.items()
    ]
    return sorted(results, key=result_key)


def result_key(row: Result) -> tuple[object, ...]:
    """Sort key of results: table order of systems, then fold, seed, noise set and SNR."""
    snr = -math.inf if row.snr_db is None else row.snr_db
    system, fold, noise = system_key(row.system), natural_key(row.fold), noise_key(row.noise)
    return (system, row.frontend, fold, row.seed, noise, snr)
