"""BatchNorm that sees real frames only."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trnet.model.frames import RealRows, ValidFrames
from trnet.model.precision import as_type, full


class _Norm(NamedTuple):
    """What a norm computes from: rows (N, C); weight, bias, mean, and one over the deviation, each (C,)."""

    rows: Tensor
    weight: Tensor
    bias: Tensor
    mean: Tensor
    rate: Tensor


class NormaliseAndAdd(torch.autograd.Function):
    """The sum of normalised rows, with or without ReLU, zero where rows are padding.

    The gradient is written out (Ioffe & Szegedy, ICML 2015): for each norm it needs the sums over the rows of the
    gradient and of its product with the normalised rows. Left to autograd there are several more, each of a product as
    large as the rows; and of the gradient itself there is but one sum for all norms here.
    """

    @staticmethod
    def forward(ctx: Any, relu: bool, mask: Tensor, number: Tensor, *norms: Tensor) -> Tensor:
        """Rows (N, C) -> (N, C) of the type of the first rows.

        Args:
            ctx: Keeps what the gradient needs.
            relu: Whether negative sums become zero.
            mask: See `RealRows`.
            number: See `RealRows`.
            norms: The tensors of one `_Norm` after another.

        The gradient cannot be differentiated again: it takes `mean` and `rate` as constants.
        """
        out = _sum(_norms(norms), mask, relu)
        ctx.save_for_backward(out if relu else mask, mask, number, *norms)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of the output (N, C) -> those of rows, weights and biases."""
        passed, mask, number, *norms = ctx.saved_tensors
        g = full(grad) * torch.sign(passed)  # 0 or 1; of a comparison a compiled step would write truth values besides
        of_bias, share = g.sum(0), mask / number
        found: list[Tensor | None] = [None, None, None]
        for norm in _norms(norms):
            x_hat = (full(norm.rows) - norm.mean) * norm.rate
            of_weight = (g * x_hat).sum(0)
            of_rows = (g - (of_bias + x_hat * of_weight) * share) * (norm.weight * norm.rate)
            found += [of_rows.to(norm.rows.dtype), of_weight, of_bias, None, None]
        return tuple(found)


def _norms(tensors: Sequence[Tensor]) -> list[_Norm]:
    size = len(_Norm._fields)
    return [_Norm(*tensors[start : start + size]) for start in range(0, len(tensors), size)]


def _sum(norms: Sequence[_Norm], mask: Tensor, relu: bool) -> Tensor:
    """(N, C) of the type of the rows, zero where they are padding."""
    first, *rest = [(full(n.rows) - n.mean) * (n.weight * n.rate) + n.bias for n in norms]
    total = sum(rest, start=first)
    return as_type((torch.relu(total) if relu else total) * mask, norms[0].rows.dtype)


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm over rows of frames: mean and variance are those of the rows that are real.

    Where frames are packed, all rows are; where they are not (`StaticFrames`), sums are weighted by the mask, with no
    shape that depends on the lengths. Padding rows are zero then.
    """

    def forward(self, rows: Tensor, frames: ValidFrames) -> Tensor:  # type: ignore[override]
        """Rows (N * F, C) of ``frames.rows`` -> the same shape and type."""
        return added([self], [rows], frames, relu=False)

    def kept(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weight, bias, running mean, and one over the running deviation, each (C,)."""
        assert self.running_mean is not None and self.running_var is not None
        return self.weight, self.bias, self.running_mean, torch.rsqrt(self.running_var + self.eps)

    def statistics(self, x: Tensor, real: RealRows) -> tuple[Tensor, Tensor]:
        """Mean of the real rows of x (N, C) float, and one over their deviation (C,); the running ones take them up.

        Both come from one pass over the rows, as sums of x and of x squared around a value near the mean. That is not
        the running mean: a compiled gradient would read it after it was changed here.
        """
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        around = x[0]
        x = (x - around) * real.mask
        offset = x.sum(0) / real.number
        var = (x.square().sum(0) / real.number - offset.square()).clamp_min(0)
        mean = around + offset
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (real.number / (real.number - 1)), self.momentum)
        return mean, torch.rsqrt(var + self.eps)


def added(norms: Sequence[MaskedBatchNorm], inputs: Sequence[Tensor], frames: ValidFrames, relu: bool) -> Tensor:
    """The sum of norms of rows (N * F, C) of ``frames.rows``, each its own: (N * F, C); with `relu` its positive part.

    Where frames are not packed, padding rows are zero, and `count_batch` counts the batch.
    """
    real = frames.real_rows(inputs[0])
    if real is None:
        first, *rest = [nn.BatchNorm1d.forward(norm, rows) for norm, rows in zip(norms, inputs, strict=True)]
        total = sum(rest, start=first)
        return torch.relu(total) if relu else total
    if not norms[0].training:
        return _sum([_Norm(rows, *norm.kept()) for norm, rows in zip(norms, inputs, strict=True)], real.mask, relu)
    with torch.no_grad():
        found = [norm.statistics(full(rows), real) for norm, rows in zip(norms, inputs, strict=True)]
    parts = [(rows, n.weight, n.bias, *each) for n, rows, each in zip(norms, inputs, found, strict=True)]
    normalised: Tensor = NormaliseAndAdd.apply(relu, *real, *itertools.chain(*parts))
    return normalised


@torch.no_grad()
def count_batch(module: nn.Module) -> None:
    """Let the norms of a module in training count a batch whose frames were not packed: all of them in one kernel."""
    norms = [each for each in module.modules() if isinstance(each, MaskedBatchNorm) and each.training]
    if counters := [each.num_batches_tracked for each in norms if each.num_batches_tracked is not None]:
        torch._foreach_add_(counters, 1)
