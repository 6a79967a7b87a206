"""Convolutions as matrix products of windows, where a GPU's library has no fast kernel for them.

cuDNN computes a convolution of one input channel, and any of them in float32, at a fraction of the speed of a matrix
product. `torch.compile` fuses the gathering of windows with what comes before, and its gradient with what comes after.
"""

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
    batch, channels, *sizes = x.shape
    frames, bins = ((size + 2 * padding - kernel) // stride + 1 for size in sizes)
    x = functional.pad(x, (padding, padding + stride, padding, padding + stride)).permute(0, 2, 3, 1)
    ends = stride * frames, stride * bins
    windows = torch.stack(
        [x[:, i : i + ends[0] : stride, j : j + ends[1] : stride] for i in range(kernel) for j in range(kernel)], dim=3
    ).reshape(batch * frames * bins, kernel * kernel * channels)
    weight = conv.weight.permute(2, 3, 1, 0).reshape(-1, conv.out_channels)
    if rest := -weight.shape[0] % ALIGNED:
        windows, weight = functional.pad(windows, (0, rest)), functional.pad(weight, (0, 0, 0, rest))
    return (windows @ weight).view(batch, frames, bins, -1).permute(0, 3, 1, 2)
