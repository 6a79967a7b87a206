"""The learning rate of a front-end's training, as a function of its history and step alone."""

import math
from collections.abc import Iterable

from trnet.enh.config import EnhTraining


def plateaus(scores: Iterable[float], patience: int) -> int:
    """How often the score did not rise for `patience` epochs in a row; an undefined score, NaN, does not rise."""
    best, since, count = -math.inf, 0, 0
    for score in scores:
        if score > best:
            best, since = score, 0
            continue
        since += 1
        if since == patience:
            count, since = count + 1, 0
    return count


def lr_at(step: int, scores: list[float], conf: EnhTraining) -> float:
    """Learning rate of a step, counted from 1 over all epochs, after epochs with these validation scores."""
    lr = conf.lr
    if conf.warmup_steps:
        lr *= min(1.0, step / conf.warmup_steps)
    if conf.decay_epochs:
        lr *= conf.decay_factor ** (len(scores) // conf.decay_epochs)
    return lr * conf.plateau_factor ** (plateaus(scores, conf.plateau_patience) if conf.plateau_patience else 0)
