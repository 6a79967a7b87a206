"""Learning rate, chosen epoch and end of a training as functions of its history alone, so that nothing else is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from trnet.enh.config import Training, Validation

History = Sequence[dict[str, Any]]


def score(row: dict[str, Any], conf: Validation) -> float:
    """What an epoch is judged by; an undefined score is the worst."""
    value = row[f"valid_{conf.choose}"]
    return -math.inf if math.isnan(value) else value


def best_epoch(history: History, conf: Validation) -> int:
    """The first epoch with the largest validation score (0 before the first)."""
    return max(history, key=lambda row: (score(row, conf), -row["epoch"]), default={"epoch": 0})["epoch"]


def plateaus(history: History, training: Training, validation: Validation) -> int:
    """How often the score did not rise for `plateau_patience` epochs in a row; the count starts anew each time."""
    if not training.plateau_patience:
        return 0
    best, since, count = -math.inf, 0, 0
    for row in history:
        if score(row, validation) > best:
            best, since = score(row, validation), 0
            continue
        since += 1
        if since == training.plateau_patience:
            count, since = count + 1, 0
    return count


def lr_at(step: int, history: History, training: Training, validation: Validation) -> float:
    """Learning rate of a step (counted from 1 over all epochs) of the epoch that follows `history`."""
    lr = training.lr
    if training.warmup_steps:
        lr *= min(1.0, step / training.warmup_steps)
    if training.decay_epochs:
        lr *= training.decay_factor ** (len(history) // training.decay_epochs)
    return lr * training.plateau_factor ** plateaus(history, training, validation)


def is_finished(history: History, training: Training, validation: Validation) -> bool:
    """Whether max_epochs are done, or the score has not risen for `patience` epochs."""
    epoch = len(history)
    waited = epoch - best_epoch(history, validation)
    return epoch >= training.max_epochs or bool(training.patience and waited >= training.patience)


def ends_at(history: History, training: Training, validation: Validation) -> bool:
    """Whether a training with this history is just what the configuration asks for: not less, not more."""
    return is_finished(history, training, validation) and not goes_too_far(history, training, validation)


def goes_too_far(history: History, training: Training, validation: Validation) -> bool:
    """Whether a training with this history would have ended before its last epoch."""
    return bool(history) and is_finished(history[:-1], training, validation)
