"""SNR-aware module: Eq. 1 to 4 (Section 3.2).

Always computed in float32: on raw log-mels the similarities of different SNRs differ in the third decimal only.
"""

from typing import Any

import torch
from torch import Tensor, nn

from trnet.config.model import GateConf
from trnet.model.frames import ValidFrames
from trnet.model.precision import full


class ReturningHardtanh(torch.autograd.Function):
    """Eq. 3 forward; backward, a saturated c passes the gradients that lead back into [0, 1].

    With Hardtanh's own gradient a c that once left the interval never comes back.
    """

    @staticmethod
    def forward(ctx: Any, c_bar: Tensor) -> Tensor:
        """Eq. 3: c_bar -> c in [0, 1]."""
        ctx.save_for_backward(c_bar)
        return c_bar.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Gradient of c -> gradient of c_bar."""
        (c_bar,) = ctx.saved_tensors
        leads_out = ((c_bar < 0) & (grad > 0)) | ((c_bar > 1) & (grad < 0))  # descent moves against the gradient
        return grad.masked_fill(leads_out, 0)


def cosine_similarity(x: Tensor, x_e: Tensor, frames: ValidFrames, centred: bool) -> Tensor:
    """Eq. 1: d (B, F), cosine of each mel bin's trajectory in X and X_e (B, T, F) over the real frames.

    `centred` first takes the mean of X over all its frames and bins from both: log-mels are all large and positive, so
    that without it d stays near 1 at any SNR. One level for both, because a front-end that takes noise away lowers X_e.
    """
    mask = frames.mask[..., None].to(x.dtype)  # (B, T, 1)
    if centred:
        count = frames.lengths.to(x.dtype)[:, None, None] * x.shape[2]
        level = (x * mask).sum((1, 2), keepdim=True) / count
        x, x_e = x - level, x_e - level
    x, x_e = x * mask, x_e * mask
    norms = x.square().sum(1).sqrt() * x_e.square().sum(1).sqrt()
    return (x * x_e).sum(1) / norms.clamp_min(1e-8)


class SNRGate(nn.Module):
    """Estimates c from how much the front-end changed the spectrogram, and mixes X and X_e by it."""

    def __init__(self, num_mels: int, conf: GateConf) -> None:
        super().__init__()
        self.centred = conf.snr_features == "centred"
        self.returning = conf.gradient == "returning"
        self.per_band = conf.resolution == "band"
        self.fc = nn.Linear(num_mels, num_mels if self.per_band else 1)
        if conf.init == "mean":  # c starts as the mean of d, inside (0, 1) and falling with the SNR
            nn.init.constant_(self.fc.weight, 1 / num_mels)
            nn.init.zeros_(self.fc.bias)

    def forward(
        self, x: Tensor, x_e: Tensor, frames: ValidFrames, mels: tuple[Tensor, Tensor, ValidFrames] | None = None
    ) -> tuple[Tensor, Tensor]:
        """X, X_e (B, T, F) -> c (B,) in [0, 1], compensated X~ (B, T, F) float32.

        With a coefficient for each band (not in the paper) Eq. 2 gives F of them, Eq. 4 mixes each bin by its own, and
        c is their mean. Where X and X_e are no log-mels, `mels` are those that Eq. 1 compares, and their real frames.
        """
        assert x.shape == x_e.shape and x.ndim == 3, (x.shape, x_e.shape)
        with torch.autocast(x.device.type, enabled=False):
            x, x_e = full(x), full(x_e)
            compared = (x, x_e, frames) if mels is None else mels
            d = cosine_similarity(*compared, self.centred)  # Eq. 1
            c_bar = self.fc(d)  # Eq. 2: (B, 1), or (B, F) by band
            c = ReturningHardtanh.apply(c_bar) if self.returning else c_bar.clamp(0, 1)  # Eq. 3
            weight = c[:, None, :]
            return c.mean(1), weight * x + (1 - weight) * x_e  # Eq. 4
