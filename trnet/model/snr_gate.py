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


def _real(x: Tensor, x_e: Tensor, frames: ValidFrames, centred: bool) -> tuple[Tensor, Tensor]:
    """X and X_e (B, T, F) with zeros behind each end, `centred` less the mean of X; see `cosine_similarity`."""
    mask = frames.mask[..., None].to(x.dtype)  # (B, T, 1)
    if centred:
        count = frames.lengths.to(x.dtype)[:, None, None] * x.shape[2]
        level = (x * mask).sum((1, 2), keepdim=True) / count
        x, x_e = x - level, x_e - level
    return x * mask, x_e * mask


def cosine_similarity(x: Tensor, x_e: Tensor, frames: ValidFrames, centred: bool) -> Tensor:
    """Eq. 1: d (B, F), cosine of each mel bin's trajectory in X and X_e (B, T, F) over the real frames.

    `centred` first takes the mean of X over all its frames and bins from both: log-mels are all large and positive, so
    that without it d stays near 1 at any SNR. One level for both, because a front-end that takes noise away lowers X_e.
    """
    x, x_e = _real(x, x_e, frames, centred)
    norms = x.square().sum(1).sqrt() * x_e.square().sum(1).sqrt()
    return (x * x_e).sum(1) / norms.clamp_min(1e-8)


def local_similarity(x: Tensor, x_e: Tensor, frames: ValidFrames, centred: bool, context: int) -> Tensor:
    """Eq. 1 around each frame: d (B, T, F), over the `context` (an odd number) real frames nearest to it."""
    x, x_e = (each.transpose(1, 2) for each in _real(x, x_e, frames, centred))  # (B, F, T)

    def around(products: Tensor) -> Tensor:
        return nn.functional.avg_pool1d(products, context, stride=1, padding=context // 2)  # zeros beyond both ends

    norms = around(x.square()).clamp_min(0).sqrt() * around(x_e.square()).clamp_min(0).sqrt()
    return (around(x * x_e) / norms.clamp_min(1e-8)).transpose(1, 2)


def at_frames(values: Tensor, given: ValidFrames, wanted: ValidFrames) -> Tensor:
    """Values (B, T") of frames of one rate at frames of another: (B, T), those in the same place of the utterance."""
    if given is wanted:
        return values
    share = given.lengths.to(torch.float32) / wanted.lengths.to(torch.float32)  # (B,)
    place = (torch.arange(wanted.total, device=values.device) + 0.5) * share[:, None]
    index = torch.minimum(place.long(), given.lengths[:, None].long() - 1)
    return values.gather(1, index)


class SNRGate(nn.Module):
    """Estimates c from how much the front-end changed the spectrogram, and mixes X and X_e by it."""

    def __init__(self, num_mels: int, conf: GateConf, dim: int = 0) -> None:
        """`dim`: of the features, where Eq. 1 compares these beside log-mels."""
        super().__init__()
        self.per_frame, self.context = conf.resolution == "frame", conf.context
        self.fixed, self.num_mels = conf.fixed, num_mels
        self.centred = conf.snr_features == "centred"
        self.returning = conf.gradient == "returning"
        self.per_band = conf.resolution == "band"
        self.fc = nn.Linear(num_mels + dim, num_mels if self.per_band else 1)
        if conf.init == "mean":  # c starts as the mean of d of the log-mels, inside (0, 1) and falling with the SNR
            nn.init.zeros_(self.fc.weight)
            nn.init.constant_(self.fc.weight[:, :num_mels], 1 / num_mels)
            nn.init.zeros_(self.fc.bias)
        if self.fixed is not None:
            self.fc.requires_grad_(False)

    def forward(
        self, x: Tensor, x_e: Tensor, frames: ValidFrames, mels: tuple[Tensor, Tensor, ValidFrames] | None = None
    ) -> tuple[Tensor, Tensor]:
        """X, X_e (B, T, F) -> c (B,) in [0, 1], compensated X~ (B, T, F) float32.

        With a coefficient for each band or each frame (not in the paper) Eq. 2 gives F or T of them, Eq. 4 mixes each
        bin or frame by its own, and c is their mean. Where X and X_e are no log-mels, `mels` are those that Eq. 1
        compares, and their real frames.
        """
        assert x.shape == x_e.shape and x.ndim == 3, (x.shape, x_e.shape)
        with torch.autocast(x.device.type, enabled=False):
            x, x_e = full(x), full(x_e)
            weight = self._weight(x, x_e, frames, mels)  # (B, 1, 1), (B, 1, F) or (B, T, 1)
            if self.per_frame:
                real = frames.mask[..., None].to(x.dtype)
                c = (weight * real).sum((1, 2)) / frames.lengths.to(x.dtype)
            else:
                c = weight[:, 0].mean(1)
            return c, weight * x + (1 - weight) * x_e  # Eq. 4

    def _weight(
        self, x: Tensor, x_e: Tensor, frames: ValidFrames, mels: tuple[Tensor, Tensor, ValidFrames] | None
    ) -> Tensor:
        """Eq. 1 to 3: what X is weighted by."""
        if self.fixed is not None:
            return x.new_full((len(x), x.shape[1] if self.per_frame else 1, 1), self.fixed)
        compared = (x, x_e, frames) if mels is None else mels
        if self.per_frame:
            d = local_similarity(*compared, self.centred, self.context)  # Eq. 1
            c_bar = at_frames(self.fc(d)[..., 0], compared[2], frames)[..., None]  # Eq. 2: (B, T, 1)
        else:
            d = cosine_similarity(*compared, self.centred)
            if self.fc.in_features > self.num_mels:
                d = torch.cat([d, cosine_similarity(x, x_e, frames, centred=False)], dim=1)  # (B, mels + F)
            c_bar = self.fc(d)[:, None, :]  # (B, 1, 1), or (B, 1, F) by band
        return ReturningHardtanh.apply(c_bar) if self.returning else c_bar.clamp(0, 1)  # Eq. 3
