"""predictions.csv (a row an utterance and condition) and results.csv (a row a fold and condition), as data frames.

Both begin with the columns of CONDITION. ``snr_db`` is in dB, NaN for clean speech (``noise`` is ``clean``). The
SNR coefficient ``c`` is in [0, 1], NaN where a system has none. The columns behind ``c`` are the classes, with their
probabilities. ``uar`` and ``war`` are in percent. A system whose name begins with PEER was not trained here (see
trnet.eval.peers); its probabilities may be NaN, and its seed 0 stands for a run of which no seed is known.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from trnet.eval.csv_files import Check, Field, PathLike, check_rows, optional, percent, read_checked_csv
from trnet.metrics import uar, war
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_text
from trnet.utils.numbers import whole

SYSTEMS = ("baseline_c", "baseline_n", "baseline_e", "trnet", "trnet_wo_low", "trnet_wo_high")
NOISES = ("clean", "esc", "musan")
PEER = "peer:"  # the names of systems whose predictions come from elsewhere begin so; no trained one can have this name
POOLED = "all"  # the fold of a result that pools the test items of every fold
CONDITION: dict[str, Field] = {
    "system": str,
    "frontend": str,
    "fold": str,
    "seed": whole,
    "noise": str,
    "snr_db": optional,
}
PREDICTION: dict[str, Field] = CONDITION | {"utt_id": str, "label": str, "pred": str, "c": optional}
RESULT: dict[str, Field] = CONDITION | {"n_utts": whole, "uar": percent, "war": percent}
ROUNDING = 1e-6  # of c


def natural_key(text: str) -> tuple[str | tuple[int, str], ...]:
    """Sort key that puts fold 2 before fold 10, whatever the number of digits."""
    parts = re.split(r"0*([0-9]+)", text)
    return tuple((len(part), part) if i % 2 else part for i, part in enumerate(parts))


def is_peer(system: str) -> bool:
    """Whether the predictions of a system come from elsewhere."""
    return system.startswith(PEER)


def system_key(system: str) -> tuple[int, str]:
    """Sort key of the systems: the order of the paper's Table 1, then by name, those from elsewhere last."""
    return (SYSTEMS.index(system) if system in SYSTEMS else len(SYSTEMS) + is_peer(system), system)


def noise_key(noise: str) -> tuple[int, str]:
    """Sort key of the noise sets: clean, esc, musan, then by name."""
    return (NOISES.index(noise) if noise in NOISES else len(NOISES), noise)


KEYS: dict[str, Callable] = {"system": system_key, "fold": natural_key, "noise": noise_key}


def in_order(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Rows in the order of tables, the first of the columns first; clean speech before noise."""

    def rank(column: pd.Series) -> pd.Series:
        if column.name not in KEYS:
            return column
        ordered = sorted(column.unique(), key=KEYS[str(column.name)])
        return column.map({value: i for i, value in enumerate(ordered)})

    return frame.sort_values(list(columns), key=rank, kind="stable", ignore_index=True)


def snr_text(snr_db: float) -> str:
    """An SNR in dB as written in the CSV files (20 rather than 20.0), empty for clean speech."""
    return "" if pd.isna(snr_db) else f"{snr_db:g}"


def condition_text(noise: str, snr_db: float) -> str:
    """``clean`` or e.g. ``esc 5 dB``."""
    return noise if pd.isna(snr_db) else f"{noise} {snr_text(snr_db)} dB"


def with_conditions(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column ``condition``, see `condition_text`."""
    noisy = frame["noise"] + " " + frame["snr_db"].map(snr_text) + " dB"
    return frame.assign(condition=frame["noise"].where(frame["snr_db"].isna(), noisy))


def classes_of(predictions: pd.DataFrame) -> list[str]:
    """The classes of predictions, in the file's order."""
    return [name for name in predictions.columns if name not in PREDICTION]


def make_predictions(rows: Iterable[Sequence[object]], classes: Sequence[str]) -> pd.DataFrame:
    """A frame of predictions from rows: the fields of PREDICTION (None: no SNR, no c), then the probabilities."""
    frame = pd.DataFrame(rows, columns=[*PREDICTION, *classes])
    return frame.astype({"snr_db": float, "c": float} | dict.fromkeys(classes, float))


def _check_condition(frame: pd.DataFrame, *names: str) -> list[Check]:
    filled = list(("system", "fold", "noise", *names))
    differ = (frame["noise"] == "clean") != frame["snr_db"].isna()
    return [
        ((frame[filled] == "").any(axis=1), lambda row: f"{next(name for name in filled if not row[name])} is empty"),
        (differ, lambda row: f"noise is {row['noise']!r}: snr_db must be empty for clean, and only there"),
    ]


def _check_predictions(path: PathLike, frame: pd.DataFrame) -> None:
    classes = classes_of(frame)
    known = frame[["label", "pred"]].isin(classes)
    outside = (frame["c"] < -ROUNDING) | (frame["c"] > 1 + ROUNDING)
    probs = frame[classes]
    sums = ((probs.sum(axis=1) - 1).abs() <= 0.01) & (probs.min(axis=1) >= 0) & probs.notna().all(axis=1)
    sums |= probs.isna().all(axis=1) & frame["system"].map(is_peer)

    def unknown(row: pd.Series) -> str:
        name = "label" if row["label"] not in classes else "pred"
        return f"{name} is {row[name]!r} but the classes are {','.join(classes)}"

    checks: list[Check] = [
        (~known.all(axis=1), unknown),
        (outside, lambda row: f"c is {row['c']:g} but must lie in [0, 1]"),
        (
            ~sums,
            lambda row: f"probabilities sum to {row[classes].sum():g}, are negative or missing; they must sum to 1",
        ),
    ]
    check_rows(path, frame, [*_check_condition(frame, "utt_id"), *checks])


def read_predictions(paths: PathLike | Iterable[PathLike]) -> pd.DataFrame:
    """One or more predictions.csv files as one frame.

    Raises:
        TrnetError: For a malformed row or header, files with different classes, an utterance twice in one system, fold,
            seed and condition (whatever the front end), or an utterance with two labels.
    """
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    frames = [read_checked_csv(path, PREDICTION, more=optional) for path in files]
    if not frames:
        raise TrnetError("no predictions files given: name at least one predictions.csv")
    expected = classes_of(frames[0])
    for path, frame in zip(files, frames, strict=True):
        classes = classes_of(frame)
        if len(classes) < 2:
            raise TrnetError(f"{path}:1: {len(classes)} class columns behind c; there must be two or more")
        if classes != expected:
            raise TrnetError(f"{path}:1: classes {','.join(classes)}, but {','.join(expected)} in {files[0]}")
        _check_predictions(path, frame)
    found = pd.concat(frames, ignore_index=True)
    file_number = np.repeat(range(len(frames)), [len(frame) for frame in frames])
    again = found.duplicated(["system", "fold", "seed", "noise", "snr_db", "utt_id"])
    relabelled = found["label"] != found.groupby("utt_id")["label"].transform("first")
    for number, path in enumerate(files):
        mine = file_number == number
        checks: list[Check] = [(again[mine], _again), (relabelled[mine], _relabelled)]
        check_rows(path, frames[number], checks)
    return found


def _again(row: pd.Series) -> str:
    where = f"{row['system']}, fold {row['fold']}, seed {row['seed']}, {condition_text(row['noise'], row['snr_db'])}"
    return f"utterance {row['utt_id']} of {where} appears a second time"


def _relabelled(row: pd.Series) -> str:
    return f"utterance {row['utt_id']} is labelled {row['label']} here but otherwise before"


def write_predictions(path: PathLike, predictions: pd.DataFrame) -> None:
    """Write predictions.csv, whole or not at all, in the order given; numbers to six decimals."""
    _check_predictions(path, predictions.set_axis(range(2, len(predictions) + 2), axis=0))
    _write(path, predictions, "%.6f")


def _write(path: PathLike, frame: pd.DataFrame, numbers: str) -> None:
    texts = frame.assign(snr_db=frame["snr_db"].map(snr_text))
    write_text(Path(path), texts.to_csv(index=False, float_format=numbers, lineterminator="\n"))


def read_results(paths: PathLike | Iterable[PathLike]) -> pd.DataFrame:
    """One or more results.csv files as one frame; raises TrnetError for a malformed or repeated row."""
    files = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found = pd.DataFrame(columns=list(RESULT))
    for path in files:
        frame = read_checked_csv(path, RESULT)
        both = pd.concat([found, frame]) if len(found) else frame
        again = both.duplicated(list(CONDITION)).iloc[len(found) :]
        check_rows(path, frame, [*_check_condition(frame), (again, lambda row: "this condition appears a second time")])
        found = both
    return found.reset_index(drop=True)


def write_results(path: PathLike, results: pd.DataFrame) -> None:
    """Write results.csv, whole or not at all, in the order given; UAR and WAR to four decimals."""
    _write(path, results[list(RESULT)], "%.4f")


def score(predictions: pd.DataFrame, *, by_fold: bool = True) -> pd.DataFrame:
    """UAR and WAR of each system, front end, fold, seed and condition, in table order.

    With ``by_fold=False`` the items of all folds are scored together, as fold ``all``.
    """
    index = {name: i for i, name in enumerate(classes_of(predictions))}  # numbers are scored faster than texts
    rows = predictions.assign(label=predictions["label"].map(index), pred=predictions["pred"].map(index))
    found = []
    for key, items in (rows if by_fold else rows.assign(fold=POOLED)).groupby(
        list(CONDITION), sort=False, dropna=False
    ):
        labels, preds = items["label"].to_numpy(), items["pred"].to_numpy()
        found.append((*key, len(items), uar(labels, preds), war(labels, preds)))
    return in_order(pd.DataFrame(found, columns=list(RESULT)), list(CONDITION))
