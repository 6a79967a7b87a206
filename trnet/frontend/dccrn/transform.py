"""The short-time Fourier transform of asteroid's filterbanks, as a convolution and its transpose."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class FilterBank(nn.Module):
    """Cosines and sines under a square-root Hann window, scaled for perfect reconstruction.

    Equals asteroid-filterbanks' ``STFTFB`` to float32; both tensors are buffers and part of checkpoints.
    """

    _filters: Tensor
    torch_window: Tensor

    def __init__(self, n_fft: int, window: int, hop: int) -> None:
        super().__init__()
        bins = n_fft // 2 + 1
        taper = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window))
        place = np.arange(window) + (n_fft - window) // 2
        angle = -2 * np.pi * np.outer(np.arange(bins), place) / n_fft
        waves = np.stack([np.cos(angle), np.sin(angle)]) * taper * 2 / math.sqrt(window * n_fft / hop)
        waves[0, [0, -1]] /= math.sqrt(2)  # these two frequencies have no mirror image
        filters = torch.tensor(waves.reshape(2 * bins, 1, window), dtype=torch.float32)
        self.register_buffer("_filters", filters)
        self.register_buffer("torch_window", torch.tensor(taper, dtype=torch.float32))
        self.hop = hop

    def analyse(self, wav: Tensor) -> Tensor:
        """(batch, window + (frames - 1) * hop) to (batch, n_fft / 2 + 1, frames) complex64."""
        return torch.complex(*self.analyse_parts(wav))

    def analyse_parts(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """The same as real and imaginary part, float32."""
        real, imag = functional.conv1d(wav[:, None], self._filters, stride=self.hop).chunk(2, dim=1)
        return real, imag

    def synthesise(self, spec: Tensor) -> Tensor:
        """(batch, n_fft / 2 + 1, frames) complex64 to (batch, window + (frames - 1) * hop)."""
        return self.synthesise_parts(spec.real, spec.imag)

    def synthesise_parts(self, real: Tensor, imag: Tensor) -> Tensor:
        """The same from real and imaginary part."""
        return functional.conv_transpose1d(torch.cat([real, imag], dim=1), self._filters, stride=self.hop)[:, 0]
