"""The training objective, Eq. 5, 7 and 8, with means instead of sums, as in the authors' release."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from trnet.config.experiment import System
from trnet.model.frames import ValidFrames


@dataclass
class Losses:
    """The parts of Eq. 8 for one batch, each a scalar; a part that a system does not have is zero.

    `ctc` is no part of Eq. 8; None where training.ctc_weight is 0.
    """

    total: Tensor
    task: Tensor
    low: Tensor
    high: Tensor
    ctc: Tensor | None = None

    def with_ctc(self, ctc: Tensor, weight: float) -> "Losses":
        """The same with the CTC loss added to the total."""
        return replace(self, total=self.total + weight * ctc, ctc=ctc)

    def columns(self) -> dict[str, Tensor]:
        """The losses by the names that a run's history has."""
        named = {"loss": self.total, "task": self.task, "low": self.low, "high": self.high}
        return named if self.ctc is None else named | {"ctc": self.ctc}


def low_level_loss(x_s: Tensor, compensated: Tensor, frames: ValidFrames) -> Tensor:
    """Eq. 5: mean squared error between X_s and X~ (B, T, F), over the real frames."""
    squared = (x_s.float() - compensated.float()).square().mean(dim=2)  # (B, T)
    mask = frames.mask
    return (squared * mask).sum() / mask.sum()


def high_level_loss(h_s: Tensor, h: Tensor) -> Tensor:
    """Eq. 7: mean squared error between h_s and h~ (B, D)."""
    assert h_s.shape == h.shape, (h_s.shape, h.shape)
    return functional.mse_loss(h.float(), h_s.float())


def trnet_losses(
    system: System, logits: Tensor, labels: Tensor, low: Tensor | None = None, high: Tensor | None = None
) -> Losses:
    """Eq. 8: cross-entropy + alpha L_low + beta L_high.

    Args:
        system: Has alpha and beta.
        logits: (B, classes).
        labels: (B,) class indices.
        low: L_low, where the system has it.
        high: L_high, where the system has it.
    """
    task = functional.cross_entropy(logits.float(), labels)
    zero = torch.zeros_like(task)
    low, high = (zero if part is None else part for part in (low, high))
    return Losses(task + system.alpha * low + system.beta * high, task, low, high)
