"""Optimizer, learning rate and gradient clipping of a training."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from trnet.config import Training
from trnet.runs.history import History

OPTIMIZERS: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
THRESHOLD = 1e-4  # relative rise of a score that counts as one, as in PyTorch's ReduceLROnPlateau
WORKERS_IMPORT = ("torch._dynamo",)  # by PyTorch when an optimizer is made; it takes seconds


def make_optimizer(groups: Sequence[dict[str, Any]], conf: Training) -> torch.optim.Optimizer:
    """The optimizer of parameter groups, each with its ``lr``, which is also the base of its schedule."""
    return OPTIMIZERS[conf.optimizer.type](groups, weight_decay=conf.optimizer.weight_decay)


class LearningRate:
    """The learning rates of an optimizer's groups, as a function of the history and the step alone."""

    def __init__(self, optimizer: torch.optim.Optimizer, conf: Training) -> None:
        self.optimizer, self.conf = optimizer, conf
        self.base = [float(group["lr"]) for group in optimizer.param_groups]

    @property
    def steady(self) -> bool:
        """Whether it stays within an epoch."""
        return self.conf.schedule.type != "cosine" and not self.conf.schedule.warmup_steps

    def set(self, history: History, step: int, steps: int) -> None:
        """Set the rates for a step of the epoch that follows `history`.

        Args:
            history: Of the epochs before.
            step: From 0 within the epoch.
            steps: Of each epoch.
        """
        for group, rate in zip(self.optimizer.param_groups, self.rates(history, step, steps), strict=True):
            group["lr"] = rate

    def rates(self, history: History, step: int, steps: int) -> list[float]:
        """The rate of each group for a step, see `set`."""
        return [self._rate(base, history, step, steps) for base in self.base]

    def _rate(self, base: float, history: History, step: int, steps: int) -> float:
        if self.conf.plateau is not None:
            base = after_plateaus(base, [row["valid_uar"] for row in history], *self.conf.plateau)
        schedule, done = self.conf.schedule, len(history) * steps + step
        if schedule.type == "cosine":
            share = min(1.0, done / (schedule.epochs * steps))
            base *= schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * share)) / 2
        if schedule.warmup_steps:
            base *= min(1.0, (done + 1) / schedule.warmup_steps)
        return base


def after_plateaus(lr: float, scores: Iterable[float], patience: int, factor: float) -> float:
    """What PyTorch's ReduceLROnPlateau makes of a learning rate after these scores, the larger the better."""
    best, bad = -math.inf, 0
    for score in scores:
        if score > best * (1 + THRESHOLD) or best == -math.inf:
            best, bad = score, 0
        else:
            bad += 1
        if bad > patience:
            lr, bad = (lr * factor if lr - lr * factor > 1e-8 else lr), 0
    return lr


def parameter_groups(model: nn.Module, losses: nn.Module, conf: Training, gate_lr: float) -> list[dict[str, Any]]:
    """Parameters with their learning rates: those of the gate (Eq. 2) have their own."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [p for n, p in named if not n.startswith("gate.")], "lr": conf.base_lr}]
    if gate := [p for n, p in named if n.startswith("gate.")]:
        groups.append({"params": gate, "lr": gate_lr})
    if others := [p for p in losses.parameters() if p.requires_grad]:
        groups.append({"params": others, "lr": conf.base_lr})
    return groups
