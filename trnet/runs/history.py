"""The history of a run, a row an epoch: which epoch is chosen, and where a run ends."""

import csv
import io
from typing import Any

from trnet.config.experiment import Training

COLUMNS = ("epoch", "lr", "loss", "task", "low", "high", "valid_uar", "c_clean", "c_noisy")

History = list[dict[str, Any]]


def best_epoch(history: History) -> int:
    """The first epoch of the largest validation UAR (0 before the first)."""
    return max(history, key=lambda row: (row["valid_uar"], -row["epoch"]), default={"epoch": 0})["epoch"]


def is_finished(history: History, conf: Training) -> bool:
    """Whether max_epochs are done, or the validation UAR has not risen for `patience` epochs."""
    epoch = len(history)
    return epoch >= conf.max_epochs or bool(conf.patience and epoch - best_epoch(history) >= conf.patience)


def goes_too_far(history: History, conf: Training) -> bool:
    """Whether a run with this history would have ended before its last epoch under `conf`."""
    return bool(history) and is_finished(history[:-1], conf)


def ends_at(history: History, conf: Training) -> bool:
    """Whether a run with this history is just what `conf` asks for."""
    return is_finished(history, conf) and not goes_too_far(history, conf)


def as_csv(history: History) -> str:
    """``history.csv``; the loss of CTC, where there is one, has the last column."""
    text = io.StringIO()
    others = dict.fromkeys(name for row in history for name in row if name not in COLUMNS)
    writer = csv.DictWriter(text, [*COLUMNS, *others], lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
