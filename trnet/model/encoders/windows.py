"""Convolutions as matrix products of windows, where a GPU's library has no fast kernel for them.

cuDNN computes a convolution of one input channel, and any of them in float32, at a fraction of the speed of a matrix
product. `torch.compile` fuses the gathering of windows with what comes before, and its gradient with what comes after.
"""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.model.frames import StaticFrames, ValidFrames

FEW_CHANNELS = 8  # of the input: fewer do not fill a unit of a tensor core
ALIGNED = 8  # values that the inner size of a product is a multiple of


def convolved(conv: nn.Conv2d, x: Tensor, frames: ValidFrames) -> Tensor:
    """``conv(x)``, x (B, C, T, F), in the way that is faster where it is computed."""
    if isinstance(frames, StaticFrames) and x.is_cuda:
        fast_in_cudnn = torch.is_autocast_enabled("cuda") and conv.in_channels >= FEW_CHANNELS
        return conv(x) if fast_in_cudnn else by_windows(conv, x)
    return conv(x)


def by_windows(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``conv(x)`` for a convolution without a bias whose kernel and stride are square: (B, C', T', F')."""
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    x = functional.pad(x, (padding, padding, padding, padding)).permute(0, 2, 3, 1)
    windows = Windows.apply(x, kernel, stride)
    batch, frames, bins = windows.shape[:3]
    weight = conv.weight.permute(2, 3, 1, 0).reshape(-1, conv.out_channels)
    rows = windows.reshape(batch * frames * bins, -1)
    if rest := -len(weight) % ALIGNED:
        rows, weight = functional.pad(rows, (0, rest)), functional.pad(weight, (0, 0, 0, rest))
    return (rows @ weight).view(batch, frames, bins, -1).permute(0, 3, 1, 2)


class Windows(torch.autograd.Function):
    """x (B, T, F, C) -> its square windows (B, T', F', kernel, kernel, C), a view where nothing is compiled.

    PyTorch's own gradient adds the windows up with atomic sums, whose order is another every time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int, stride: int) -> Tensor:
        """Every `stride`-th window along time and frequency."""
        ctx.shape, ctx.kernel, ctx.stride = x.shape, kernel, stride
        windows = x.unfold(1, kernel, stride).unfold(2, kernel, stride)  # (B, T', F', C, kernel, kernel)
        return windows.permute(0, 1, 2, 4, 5, 3)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of the windows -> that of x: what each position has in all windows that it is in."""
        batch, _, bins, channels = ctx.shape
        ends = [ctx.stride * (size - 1) + 1 for size in grad.shape[1:3]]
        spread = torch.ops.aten.slice_backward
        total: Tensor | int = 0
        for i, j in itertools.product(range(ctx.kernel), repeat=2):
            along = spread(grad[:, :, :, i, j], [batch, grad.shape[1], bins, channels], 2, j, j + ends[1], ctx.stride)
            total = total + spread(along, ctx.shape, 1, i, i + ends[0], ctx.stride)
        assert isinstance(total, Tensor)
        return total, None, None
