"""The training losses: Eq. 5, Eq. 7 and cross-entropy, whose weighted sum is Eq. 8, and further ones.

Means instead of sums, as in the authors' release. Somebody's own class is named in YAML as
``losses: [..., {type: package.module:Class, weight: 0.1}]``; see `Loss`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.config import LossConf as Options
from trnet.config import load_class, own_code
from trnet.model.batch import Batch, Output
from trnet.model.frames import ValidFrames
from trnet.model.precision import full
from trnet.model.ser import SER
from trnet.train.ctc import CTCLoss
from trnet.utils.errors import TrnetError


class Loss(Protocol):
    """What a loss has; made as ``Class(**options)``. If it is an `nn.Module`, its parameters are trained, too.

    `needs` are the fields of a batch that it reads beside the labels: of `clean` (B, T, F), the clean target X_s; `h_s`
    (B, D) of the teacher; `snr` (B,) in dB; `noisy` and `enhanced` (B, T, F); `text`, tokens of the transcripts.
    """

    needs: tuple[str, ...]

    def __call__(self, output: Output, batch: Batch) -> Tensor:
        """What a system gave for a batch -> a scalar, float32."""


def low_level_loss(x_s: Tensor, compensated: Tensor, frames: ValidFrames) -> Tensor:
    """Eq. 5: mean squared error between X_s and X~ (B, T, F), over the real frames."""
    return _mean_square(full(x_s) - full(compensated), frames)


def _mean_square(difference: Tensor, frames: ValidFrames) -> Tensor:
    """Mean over the real frames of a difference (B, T, F)."""
    squared = difference.square().mean(dim=2)  # (B, T)
    mask = frames.mask
    return (squared * mask).sum() / mask.sum()


def high_level_loss(h_s: Tensor, h: Tensor) -> Tensor:
    """Eq. 7: mean squared error between h_s and h~ (B, D)."""
    assert h_s.shape == h.shape, (h_s.shape, h.shape)
    return functional.mse_loss(full(h), full(h_s))


class CrossEntropy(nn.Module):
    """Cross-entropy of logits and labels, with class weights and label smoothing."""

    needs = ()

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] | str = "none") -> None:
        """`class_weights`: one a class; "none"."""
        super().__init__()
        self.label_smoothing = label_smoothing
        weights = None if isinstance(class_weights, str) else torch.tensor(class_weights, dtype=torch.float32)
        self.weights: Tensor | None
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """Logits (B, classes) and labels (B,) -> a scalar."""
        return functional.cross_entropy(
            full(output.logits), batch.labels, self.weights, label_smoothing=self.label_smoothing
        )


class Low(nn.Module):
    """Eq. 5."""

    needs = ("clean",)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """Compensated features X~ and X_s -> a scalar."""
        if output.compensated is None:
            raise TrnetError("losses: 'low' needs a system with compensated features, Eq. 4; leave it out")
        assert batch.clean is not None
        return low_level_loss(batch.clean, output.compensated, batch.frames)


class High(nn.Module):
    """Eq. 7."""

    needs = ("h_s",)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """h~ and h_s -> a scalar."""
        assert batch.h_s is not None
        if batch.h_s.shape != output.h.shape:
            shapes = f"{tuple(output.h.shape[1:])} and {tuple(batch.h_s.shape[1:])}"
            raise TrnetError(f"losses: 'high' needs h and the teacher's h_s of one size, not {shapes}")
        return high_level_loss(batch.h_s, output.h)


class HighFrames(nn.Module):
    """Eq. 7 before pooling: mean squared error between what two encoders make of X~ and, the teacher's, of X_s."""

    needs = ("clean",)

    def __init__(self, teacher: SER) -> None:
        """`teacher`: trained; it stays as it is."""
        super().__init__()
        self.teacher = teacher.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "HighFrames":
        """The teacher has no dropout in training either."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """Frames of the encoder and X_s -> a scalar."""
        if output.encoded is None:
            raise TrnetError("losses: 'high_frames' needs a system that gives its encoder's frames; leave it out")
        assert batch.clean is not None
        with torch.no_grad():
            wanted, frames = self.teacher.encode(batch.clean, batch.frames)  # (B, T', D')
        if wanted.shape != output.encoded.shape:
            shapes = f"{tuple(output.encoded.shape[1:])} and {tuple(wanted.shape[1:])}"
            raise TrnetError(f"losses: 'high_frames' needs an encoder like the teacher's, not frames of {shapes}")
        return _mean_square(full(output.encoded) - full(wanted), frames)


class SNRLoss(nn.Module):
    """Mean squared error between c of Eq. 3 and the SNR, which rises evenly from 0 to 1 between two SNRs."""

    needs = ("snr",)

    def __init__(self, lowest: float, highest: float) -> None:
        """In dB: where c should be 0, and where 1."""
        super().__init__()
        self.lowest, self.highest = lowest, highest

    def forward(self, output: Output, batch: Batch) -> Tensor:
        """c (B,) and SNRs (B,) in dB -> a scalar."""
        if output.c is None:
            raise TrnetError("losses: 'snr' needs a system with an SNR coefficient, Eq. 3; leave it out")
        assert batch.snr is not None
        wanted = ((batch.snr - self.lowest) / (self.highest - self.lowest)).clamp(0, 1)
        return functional.mse_loss(full(output.c), wanted)


LOSSES: dict[str, type[nn.Module]] = {
    "cross_entropy": CrossEntropy,
    "low": Low,
    "high": High,
    "high_frames": HighFrames,
    "snr": SNRLoss,
    "ctc": CTCLoss,
}


def make_loss(options: Options, **given: Any) -> Any:
    """The loss that a section of options names; `given` are options that training computed."""
    if not options.is_own:
        return LOSSES[options.type](**options.options() | given)
    with own_code(options.type):
        loss = load_class(options.type, "losses.type")(**options.options())
    return loss


def balanced_weights(labels: Sequence[int], num_classes: int) -> list[float]:
    """Weights of classes inverse to their frequencies, one on average over the utterances."""
    counts = [labels.count(index) for index in range(num_classes)]
    return [len(labels) / (num_classes * count) if count else 0.0 for count in counts]


def _computed(column: str, loss: Any, output: Output, batch: Batch) -> Any:
    if type(loss).__module__.startswith("trnet."):
        return loss(output, batch)
    with own_code(f"losses: '{column}'"):
        found = loss(output, batch)
    return found


class WeightedSum(nn.Module):
    """Eq. 8: the losses of a system and their weights, by column of the history."""

    def __init__(self, losses: Mapping[str, Any], weights: Mapping[str, float]) -> None:
        super().__init__()
        if taken := [column for column in losses if "." in column or hasattr(nn.ModuleDict, column)]:
            raise TrnetError(f"losses: one cannot be called '{taken[0]}'; give it another 'name'")
        self.losses, self.weights = dict(losses), dict(weights)
        self.trained = nn.ModuleDict({k: v for k, v in losses.items() if isinstance(v, nn.Module)})

    def forward(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """The sum, ``loss``, and each loss by its column, scalars.

        Raises:
            TrnetError: If a loss gives no scalar, or somebody's own raises.
        """
        parts = {column: _computed(column, loss, output, batch) for column, loss in self.losses.items()}
        for column, part in parts.items():
            if not isinstance(part, Tensor) or part.ndim:
                raise TrnetError(f"losses: '{column}' gives no scalar tensor; mend its class")
        total = sum(self.weights[column] * part for column, part in parts.items())
        assert isinstance(total, Tensor)
        return {"loss": total, **parts}
