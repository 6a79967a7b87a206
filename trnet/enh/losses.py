"""Losses between enhanced and clean waveforms or spectra; all are means over the batch."""

import torch
from torch import Tensor
from torch.nn import functional

EPS = 1e-8


def si_snr_loss(estimate: Tensor, clean: Tensor) -> Tensor:
    """Negative scale-invariant signal-to-noise ratio in dB, the loss of DCCRN, of (batch, samples); a scalar.

    Luo and Mesgarani, "Conv-TasNet", 2019, Section II: both signals without their means; the projection of the estimate
    on the clean speech against the rest.
    """
    assert estimate.shape == clean.shape and estimate.ndim == 2, (estimate.shape, clean.shape)
    estimate = estimate - estimate.mean(dim=1, keepdim=True)
    clean = clean - clean.mean(dim=1, keepdim=True)
    scale = (estimate * clean).sum(dim=1, keepdim=True) / (clean.square().sum(dim=1, keepdim=True) + EPS)
    target = scale * clean
    rest = estimate - target
    ratio = (target.square().sum(dim=1) + EPS) / (rest.square().sum(dim=1) + EPS)
    return -10 * ratio.log10().mean()


def magnitude(real: Tensor, imag: Tensor) -> Tensor:
    """sqrt(real^2 + imag^2) with a finite gradient at 0; any shape."""
    return (real.square() + imag.square() + 1e-12).sqrt()


def spectrum(wav: Tensor, n_fft: int = 512, hop: int = 256) -> Tensor:
    """(batch, samples) to (batch, n_fft / 2 + 1, frames) complex64: periodic Hann window, silence at the ends."""
    padded = functional.pad(wav, (n_fft // 2, n_fft // 2 + -wav.shape[1] % hop))
    window = torch.hann_window(n_fft, device=wav.device, dtype=wav.dtype)
    return torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)


def magnitude_l1(estimate: Tensor, clean: Tensor) -> Tensor:
    """Mean difference of the magnitudes of two spectra, (batch, bins, frames) complex64."""
    ours, theirs = (magnitude(spec.real, spec.imag) for spec in (estimate, clean))
    return (ours - theirs).abs().mean()


def complex_l1(estimate: Tensor, clean: Tensor) -> Tensor:
    """Mean of |difference of the real parts| + |difference of the imaginary parts| of two spectra, as above."""
    rest = estimate - clean
    return (rest.real.abs() + rest.imag.abs()).mean()
