"""BatchNorm that sees real frames only."""

from typing import Any

import torch
from torch import Tensor, nn

from trnet.model.frames import ValidFrames
from trnet.model.precision import full

FIRST = 64  # rows whose mean the sums are taken around; any value is right, one near the mean loses no digits


class NormaliseRows(torch.autograd.Function):
    """Rows less their mean, over their deviation, times a weight, plus a bias; mean and variance move with the rows.

    The gradient is written out (Ioffe & Szegedy, ICML 2015): it needs two sums over the rows, of the gradient and of
    its product with the normalised rows. Left to autograd it takes several, each of a product as large as the rows.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, real: Tensor, mean: Tensor, rate: Tensor
    ) -> Tensor:
        """Rows (N, C) -> (N, C) float32 (a `to` in here would lose the gradient when compiled, PyTorch 2.11).

        Args:
            ctx: Keeps what the gradient needs.
            rows: (N, C).
            weight: (C,).
            bias: (C,).
            real: (N, 1), 1 for rows that `mean` and `rate` were made of, else 0.
            mean: (C,) of these.
            rate: (C,), one over their deviation.

        The gradient cannot be differentiated again: it takes `mean` and `rate` as constants.
        """
        ctx.save_for_backward(rows, weight, real, mean, rate)
        return (full(rows) - mean) * (weight * rate) + bias

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of the output (N, C) -> those of rows, weight and bias."""
        rows, weight, real, mean, rate = ctx.saved_tensors
        g, x_hat = full(grad), (full(rows) - mean) * rate
        of_weight, of_bias = (g * x_hat).sum(0), g.sum(0)
        through_statistics = (of_bias + x_hat * of_weight) * (real / real.sum())
        return ((g - through_statistics) * (weight * rate)).to(rows.dtype), of_weight, of_bias, None, None, None


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
        assert self.running_mean is not None and self.running_var is not None
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return ((full(rows) - self.running_mean) * scale + self.bias).to(rows.dtype)
        with torch.no_grad():
            real = mask.to(full(rows).dtype)
            mean, var = self._statistics(full(rows), real)
            rate = torch.rsqrt(var + self.eps)
        normalised: Tensor = NormaliseRows.apply(rows, self.weight, self.bias, real, mean, rate).to(rows.dtype)
        return normalised

    def _statistics(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of the real rows; the running ones take them up.

        Both come from one pass over the rows, as sums of x and of x squared around a value near the mean. That is not
        the running mean: a compiled gradient would read it after it was changed here.
        """
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        count, around = real.sum(), x[:FIRST].mean(0)
        x = (x - around) * real
        offset = x.sum(0) / count
        var = (x.square().sum(0) / count - offset.square()).clamp_min(0)
        mean = around + offset
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return mean, var
