"""Front-ends as graphs that ONNX can hold: waveform in, waveform out.

ONNX has no complex numbers and no inverse short-time Fourier transform. Here spectra are two real tensors,
(batch, frames, bins), and transforms are products with cosines and sines. What is put before and behind a clip is
a list of sample indices that grows with the clip. The clips of a batch are of one length.
"""

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend import FrontEnd, gtcrn
from trnet.frontend.base import at_level
from trnet.frontend.cmgan import CmganFrontEnd, spectral
from trnet.frontend.cmgan.conformer import FARTHEST, RelativeAttention
from trnet.frontend.dccrn import DccrnFrontEnd
from trnet.frontend.dpt_fsnet import DptFsnetFrontEnd
from trnet.frontend.gtcrn import GtcrnFrontEnd

BANDS = spectral.BINS // 2 + 1  # of CMGAN's feature maps
BANDS_TOGETHER = 8


class GraphTransform(nn.Module):
    """The short-time Fourier transform under a window, and its inverse, which divides by the windows' squares."""

    waves: Tensor
    back: Tensor
    square: Tensor

    def __init__(self, window: Tensor, hop: int) -> None:
        """`window`: (n_fft,), of both directions; `hop`: samples between frames."""
        super().__init__()
        n_fft, window = len(window), window.double().cpu()
        turns = torch.arange(n_fft, dtype=torch.float64)[:, None] * torch.arange(n_fft // 2 + 1) / n_fft
        angle = 2 * torch.pi * turns  # (n_fft, bins)
        waves = window[:, None] * torch.cat([angle.cos(), -angle.sin()], dim=1)
        twice = torch.full((n_fft // 2 + 1,), 2.0 / n_fft, dtype=torch.float64)
        twice[0] = twice[-1] = 1 / n_fft  # these two frequencies have no mirror image
        self.register_buffer("waves", waves.float())  # (n_fft, 2 * bins)
        self.register_buffer("back", (waves * twice.repeat(2)).T[:, None].float())  # (2 * bins, 1, n_fft)
        self.register_buffer("square", window.square()[None, None].float())
        self.n_fft, self.hop = n_fft, hop

    def analyse(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, n_fft + (frames - 1) * hop) to two of (batch, frames, bins)."""
        starts = torch.arange(0, wav.shape[1] - self.n_fft + 1, self.hop)
        frames = wav[:, starts[:, None] + torch.arange(self.n_fft)]  # (batch, frames, n_fft)
        real, imag = (frames @ self.waves).chunk(2, dim=2)
        return real, imag

    def synthesise(self, real: Tensor, imag: Tensor) -> Tensor:
        """Two of (batch, frames, bins) to (batch, n_fft + (frames - 1) * hop)."""
        parts = torch.cat([real, imag], dim=2).transpose(1, 2)
        wav = functional.conv_transpose1d(parts, self.back, stride=self.hop)
        weight = functional.conv_transpose1d(torch.ones_like(parts[:, :1]), self.square, stride=self.hop)
        return (wav / weight.clamp_min(1e-11))[:, 0]


def mirrored(index: Tensor, samples: Tensor) -> Tensor:
    """Indices before and behind 0..samples - 1 as those of the mirror image, repeatedly where one is too short."""
    period = (2 * (samples - 1)).clamp_min(1)
    index = index.remainder(period)
    return torch.minimum(index, period - index).minimum(samples - 1)


def length(wav: Tensor) -> Tensor:
    """Samples of (batch, samples) as a tensor, which the exporter follows."""
    return torch.as_tensor(wav.shape[1])


def indices(start: int | Tensor, end: Tensor) -> Tensor:
    """``start .. end - 1``, which the exporter follows."""
    return torch.arange(start, end)  # type: ignore[call-overload]  # numbers by its stub


def padded(x: Tensor, before: int, behind: int | Tensor) -> Tensor:
    """x with zeros at both ends of its last axis, as many as the exporter follows."""
    return functional.pad(x, (before, behind))  # type: ignore[arg-type]  # numbers by its stub


def product(real: Tensor, imag: Tensor, by_real: Tensor, by_imag: Tensor) -> tuple[Tensor, Tensor]:
    """Of two complex numbers."""
    return real * by_real - imag * by_imag, real * by_imag + imag * by_real


class GtcrnGraph(nn.Module):
    """As :meth:`GtcrnFrontEnd.enhance_padded` does for clips of one length."""

    def __init__(self, frontend: GtcrnFrontEnd) -> None:
        super().__init__()
        self.network, self.level_dbfs = frontend.network, frontend.level_dbfs
        self.transform = GraphTransform(frontend.window, gtcrn.HOP)

    def forward(self, wav: Tensor) -> Tensor:
        """(batch, samples) to the same shape."""
        samples, hop = length(wav), gtcrn.HOP
        scaled, gain = at_level(wav, self.level_dbfs)
        index = indices(-hop, ((samples + hop - 1) // hop + 1) * hop)
        real, imag = self.transform.analyse(scaled[:, mirrored(index, samples)])
        out = self.transform.synthesise(*product(real, imag, *self.network.mask(real, imag).unbind(1)))
        return out[:, hop : hop + samples] / gain


class DptFsnetGraph(nn.Module):
    """As :meth:`DptFsnet.forward`, at the front-end's level."""

    def __init__(self, frontend: DptFsnetFrontEnd) -> None:
        super().__init__()
        self.network, self.level_dbfs = frontend.network, frontend.level_dbfs
        self.transform = GraphTransform(frontend.network.window, frontend.network_config.hop)

    def forward(self, wav: Tensor) -> Tensor:
        """(batch, samples) to the same shape."""
        samples, half, hop = length(wav), self.transform.n_fft // 2, self.transform.hop
        scaled, gain = at_level(wav, self.level_dbfs)
        real, imag = self.transform.analyse(padded(scaled, half, half + (-samples).remainder(hop)))
        real, imag = real[..., 1:], imag[..., 1:]  # without 0 Hz
        out = product(real, imag, *self.network.mask_parts(real, imag))
        enhanced = self.transform.synthesise(*(functional.pad(part, (1, 0)) for part in out))
        return enhanced[:, half : half + samples] / gain


class DccrnGraph(nn.Module):
    """As :meth:`Dccrn.forward`, at the front-end's level."""

    def __init__(self, frontend: DccrnFrontEnd) -> None:
        super().__init__()
        self.network, self.level_dbfs = frontend.network, frontend.level_dbfs

    def forward(self, wav: Tensor) -> Tensor:
        """(batch, samples) to the same shape."""
        samples, config = length(wav), self.network.config
        scaled, gain = at_level(wav, self.level_dbfs)
        before = config.window - config.hop if config.pad_ends else 0
        hops = (2 * before + samples - config.window + config.hop - 1) // config.hop
        total = config.window + hops.clamp_min(len(config.channels)) * config.hop
        wav = padded(scaled, before, total - before - samples)
        real, imag = (part[:, :-1] for part in self.network.encoder.filterbank.analyse_parts(wav))
        out = product(real, imag, *self.network.masker.parts(real, imag))
        enhanced = self.network.decoder.filterbank.synthesise_parts(*(functional.pad(p, (0, 0, 0, 1)) for p in out))
        return enhanced[:, before : before + samples] / gain


class CmganGraph(nn.Module):
    """As :meth:`CmganFrontEnd.enhance_equal` does for clips up to its window."""

    def __init__(self, frontend: CmganFrontEnd) -> None:
        super().__init__()
        self.network = frontend.network
        self.transform = GraphTransform(torch.hamming_window(spectral.N_FFT), spectral.HOP)
        for name, layer in self.network.named_modules():
            if isinstance(layer, RelativeAttention):
                mix = attend_by_bands if "time_conformer" in name else attend_in_graph
                layer.attend = partial(mix, layer.rel_pos_emb.weight)  # type: ignore[method-assign]

    def forward(self, wav: Tensor) -> Tensor:
        """(batch, samples) to the same shape."""
        samples, hop, half = length(wav), spectral.HOP, spectral.N_FFT // 2
        scaled, rms = spectral.unit_rms(wav)
        total = torch.maximum((samples + hop - 1) // hop * hop, torch.as_tensor(spectral.SHORTEST))
        index = mirrored(indices(-half, total + half), total).remainder(samples)
        real, imag = self.transform.analyse(scaled[:, index])
        real, imag = self.network(spectral.compress_parts(real, imag))
        out = self.transform.synthesise(*spectral.decompress_parts(real, imag))
        return out[:, half : half + samples] * rms


def attend_in_graph(embedding: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """:meth:`RelativeAttention.attend` in one piece, without a choice that the exporter could not follow.

    `embedding` (distances, width) is of -512..512 steps; q, k, v and the result are (..., steps, width).
    """
    steps, span = q.shape[-2], 2 * q.shape[-2] - 2
    distance = torch.arange(steps - 1, -steps, -1).clamp(-FARTHEST, FARTHEST)
    scaled = q * q.shape[-1] ** -0.5
    by_distance = scaled @ embedding[distance + FARTHEST].t()  # (..., steps, span + 1)
    rows = by_distance.flatten(-2)[..., steps - 1 : steps - 1 + steps * span]  # each begins one column sooner
    askew = rows.reshape(*q.shape[:-1], span)[..., :steps]
    return (scaled @ k.transpose(-2, -1) + askew).softmax(-1) @ v


def attend_by_bands(embedding: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same for (batch * bands, heads, steps, width), the scores of a few bands at a time."""
    q, k, v = (x.reshape(-1, BANDS, *x.shape[1:]) for x in (q, k, v))
    few = (slice(first, first + BANDS_TOGETHER) for first in range(0, BANDS, BANDS_TOGETHER))
    mixed = [attend_in_graph(embedding, q[:, some], k[:, some], v[:, some]) for some in few]
    return torch.cat(mixed, dim=1).flatten(0, 1)


GRAPHS: dict[type[FrontEnd], Callable[..., nn.Module]] = {
    CmganFrontEnd: CmganGraph,
    DccrnFrontEnd: DccrnGraph,
    DptFsnetFrontEnd: DptFsnetGraph,
    GtcrnFrontEnd: GtcrnGraph,
}


def graph_of(frontend: FrontEnd | None, longest: int) -> nn.Module | None:
    """The front-end as a graph, (batch, samples) to the same shape; None where there is none for it.

    `longest`: samples of the longest clip; CMGAN has no graph for clips that it cuts into windows, nor for bf16.
    """
    if isinstance(frontend, CmganFrontEnd) and (longest > frontend.window or frontend.precision == "bf16"):
        return None
    make = None if frontend is None else GRAPHS.get(type(frontend))
    return None if make is None else make(copy.deepcopy(frontend)).eval()
