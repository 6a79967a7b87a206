"""BatchNorm that sees real frames only."""

import torch
from torch import Tensor, nn

from trnet.model.frames import ValidFrames
from trnet.model.precision import full


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm over rows of frames: mean and variance are those of the rows that are real.

    Where frames are packed, all rows are; where they are not (`StaticFrames`), sums are weighted by the mask, with no
    shape that depends on the lengths. Padding rows are then normalised, too, and mean nothing.
    """

    def forward(self, rows: Tensor, frames: ValidFrames) -> Tensor:  # type: ignore[override]
        """Rows (N * F, C) of ``frames.rows`` -> the same shape and type."""
        mask = frames.row_mask(rows)
        if mask is None:
            return super().forward(rows)
        x = full(rows)
        if self.training:
            mean, var = self._statistics(x, mask.to(x.dtype))
        else:
            assert self.running_mean is not None and self.running_var is not None
            mean, var = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(var + self.eps)
        return ((x - mean) * scale + self.bias).to(rows.dtype)

    def _statistics(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of the real rows; the running ones take them up.

        Both come from one pass over the rows, as sums of x and of x squared around the running mean, which is near.
        """
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        count = mask.sum()
        around = self.running_mean.detach().clone()
        x = (x - around) * mask
        offset = x.sum(0) / count
        var = (x.square().sum(0) / count - offset.square()).clamp_min(0)
        mean = around + offset
        with torch.no_grad():
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(var.detach() * (count / (count - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return mean, var
