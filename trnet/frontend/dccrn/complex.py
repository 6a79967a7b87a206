"""Complex-valued layers.

A complex batch is a real tensor of twice the rows, (2 * batch, ...): all real parts, then all imaginary parts, so that
one call of a layer processes both. Parameters are named as in asteroid.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class ComplexProduct(nn.Module):
    """A complex-linear layer of two real ones R and I: (R + iI)(x + iy) = Rx - Iy + i(Ry + Ix).

    Equation 1 of the paper for convolutions, Equations 3 to 5 for LSTMs. A bias is applied twice, as in asteroid.
    """

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.re_module = make()
        self.im_module = make()

    def forward(self, x: Tensor) -> Tensor:
        """(2 * batch, ...) to (2 * batch, ...)."""
        by_real, by_imag = self.re_module(x).chunk(2), self.im_module(x).chunk(2)
        return torch.cat([by_real[0] - by_imag[1], by_real[1] + by_imag[0]])


class PartWise(nn.Module):
    """One real layer for the real part, another for the imaginary part."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.re_module = make()
        self.im_module = make()

    def forward(self, x: Tensor) -> Tensor:
        """(2 * batch, ...) to (2 * batch, ...)."""
        real, imag = x.chunk(2)
        return torch.cat([self.re_module(real), self.im_module(imag)])


class Lstm(nn.Module):
    """A real LSTM that returns its outputs only."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(inputs, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, frames, inputs) to (rows, frames, hidden)."""
        return self.rnn(x)[0]
