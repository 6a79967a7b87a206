"""Waveform to the input of the CMGAN generator, and its output to waveform.

The authors' procedure in steps that training and inference share::

    scaled, rms = unit_rms(wav)
    real, imag = network(compress(stft(pad_to_hop(scaled))))
    wav = istft(decompress(real, imag))[:, :samples] * rms

400 points, hop 100, periodic Hamming window, centred, mirrored ends; magnitudes to the power of 0.3.
"""

import torch
from torch import Tensor

RATE = 16000
N_FFT = 400
HOP = 100
BINS = N_FFT // 2 + 1
POWER = 0.3
SHORTEST = 3 * HOP  # samples; whole hops that are longer than the half window that the STFT mirrors
LARGEST_GAIN = 1e10  # 200 dB

_TINY = torch.finfo(torch.float32).tiny


def unit_rms(wav: Tensor) -> tuple[Tensor, Tensor]:
    """Bring clips (clips, samples) to RMS 1, as the authors do: times sqrt(N / sum x^2), over the whole clip.

    The authors' code gives NaN for digital silence. Here the gain has a limit, so silence stays silence.

    Returns:
        The scaled clips, and their RMS before, (clips, 1), to multiply the result by.
    """
    samples = wav.shape[1]
    energy = wav.square().sum(dim=1, keepdim=True)
    gain = (samples / energy).sqrt().clamp_max(LARGEST_GAIN)
    return wav * gain, (energy / samples).sqrt()


def pad_to_hop(wav: Tensor) -> Tensor:
    """Pad clips (clips, samples) to whole hops, at least 300 samples, with their own first samples, as the authors do.

    Clips of 200 samples or less, which the STFT cannot mirror and the authors' code fails on, are repeated to 300.
    """
    samples = wav.shape[1]
    missing = max(-(-samples // HOP) * HOP, SHORTEST) - samples
    repeats = -(-missing // samples)
    return torch.cat([wav, wav[:, :missing].repeat(1, repeats)[:, :missing]], dim=1) if missing else wav


def stft(wav: Tensor) -> Tensor:
    """(clips, hops * 100) to (clips, 201, hops + 1) complex; 3 hops at least."""
    return torch.stft(wav, N_FFT, HOP, window=_window(wav), center=True, pad_mode="reflect", return_complex=True)


def istft(spec: Tensor) -> Tensor:
    """(clips, 201, frames) complex to (clips, (frames - 1) * 100)."""
    if spec.is_cuda:
        return overlap_add(spec)
    return torch.istft(spec, N_FFT, HOP, window=_window(spec.real), center=True)


def overlap_add(spec: Tensor) -> Tensor:
    """What ``torch.istft`` computes, which looks at its window on a GPU and so waits for it at every call."""
    frames, window = spec.shape[2], _window(spec.real)
    pieces = torch.fft.irfft(spec.transpose(1, 2), N_FFT) * window
    both = torch.cat([pieces, window.square().expand(1, frames, N_FFT)])  # the last one is what windows add up to
    total = both.new_zeros(len(both), frames + N_FFT // HOP - 1, HOP)
    for hop, piece in enumerate(both.split(HOP, dim=2)):
        total[:, hop : hop + frames] += piece
    total = total.flatten(1)[:, N_FFT // 2 : N_FFT // 2 + (frames - 1) * HOP]
    return total[:-1] / total[-1:]


def compress(spec: Tensor) -> Tensor:
    """The generator's input: magnitudes to the power of 0.3, phases kept.

    (clips, 201, frames) complex to (clips, 3, frames, 201): compressed magnitude, real and imaginary part. An empty bin
    is 0 in all three; gradients are finite there.
    """
    frames = spec.transpose(1, 2)
    return compress_parts(frames.real, frames.imag)


def compress_parts(real: Tensor, imag: Tensor) -> Tensor:
    """The same from real and imaginary part, each (clips, frames, 201)."""
    power = real.square() + imag.square()
    scale = power.clamp_min(_TINY)
    magnitude = power * scale ** (POWER / 2 - 1)
    scale = scale ** ((POWER - 1) / 2)
    return torch.stack([magnitude, real * scale, imag * scale], dim=1)


def decompress(real: Tensor, imag: Tensor) -> Tensor:
    """Undo :func:`compress`: real and imaginary part (clips, frames, 201) to (clips, 201, frames) complex."""
    return torch.complex(*decompress_parts(real, imag)).transpose(1, 2)


def decompress_parts(real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
    """The same with the result as real and imaginary part, each (clips, frames, 201)."""
    scale = (real.square() + imag.square()) ** ((1 / POWER - 1) / 2)
    return real * scale, imag * scale


def _window(like: Tensor) -> Tensor:
    """Periodic Hamming window on the device and of the type of a real tensor."""
    return torch.hamming_window(N_FFT, dtype=like.dtype, device=like.device)
