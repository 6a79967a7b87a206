"""The history of a run, a row an epoch: which epoch is chosen, and where a run ends."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

History = list[dict[str, Any]]

COLUMNS = ("epoch", "lr", "loss", "task", "low", "high", "valid_uar", "c_clean", "c_noisy")
"""Columns that each history of an SER run has; a loss that a system does not have is zero there."""


@dataclass(frozen=True)
class Rule:
    """Which epoch of a history is chosen, and where a run ends."""

    score: str | None  # column whose largest value chooses the epoch, the first of equals; None: it is the last epoch
    max_epochs: int  # epochs at most
    patience: int = 0  # ends after so many epochs without a better score; 0: never

    def best(self, history: History) -> int:
        """The chosen epoch, from 1 (0 before the first)."""
        return best_epoch(history, self.score)

    def is_finished(self, history: History) -> bool:
        """Whether max_epochs are done, or the score has not risen for `patience` epochs."""
        epoch = len(history)
        return epoch >= self.max_epochs or bool(self.patience and epoch - self.best(history) >= self.patience)

    def goes_too_far(self, history: History) -> bool:
        """Whether a run with this history would have ended before its last epoch."""
        return bool(history) and self.is_finished(history[:-1])

    def ends_at(self, history: History) -> bool:
        """Whether a run with this history is just what is asked for."""
        return self.is_finished(history) and not self.goes_too_far(history)


def best_epoch(history: History, score: str | None = "valid_uar") -> int:
    """The first epoch of the largest score, from 1 (0 before the first); an undefined score, NaN, is the worst.

    Without a score, where nobody validates, it is the last epoch.
    """
    if score is None:
        return len(history)

    def key(row: dict[str, Any]) -> tuple[float, int]:
        return (-math.inf if math.isnan(row[score]) else row[score], -row["epoch"])

    return max(history, key=key, default={"epoch": 0})["epoch"]


def as_csv(history: History, columns: Sequence[str] = COLUMNS) -> str:
    """``history.csv``: `columns` first, then those that are in the rows only."""
    text = io.StringIO()
    others = dict.fromkeys(name for row in history for name in row if name not in columns)
    writer = csv.DictWriter(text, [*columns, *others], restval=0.0, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
