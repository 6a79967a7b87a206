"""The network, with the names of its parameters as in asteroid's ``DCCRNet``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend.dccrn.complex import ComplexProduct, Lstm, PartWise
from trnet.frontend.dccrn.config import DccrnSizes
from trnet.frontend.dccrn.transform import FilterBank


class Encoder(nn.Module):
    """Complex convolution over 5 bins and 2 frames with stride 2 in frequency, batch norm, PReLU.

    Not padded in time: the output is a frame shorter, and each of its frames has heard the one after it.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ComplexProduct(lambda: nn.Conv2d(inputs, outputs, (5, 2), (2, 1), (2, 0), bias=False))
        self.norm = PartWise(lambda: nn.BatchNorm2d(outputs))
        self.activation = PartWise(nn.PReLU)

    def forward(self, x: Tensor) -> Tensor:
        """(2 * batch, inputs, bins, frames) to (2 * batch, outputs, bins / 2, frames - 1)."""
        return self.activation(self.norm(self.conv(x)))


class Recurrence(nn.Module):
    """Two complex LSTM layers over the frames and a complex linear layer back to the input's size."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.Module()
        self.rnn.rnns = nn.ModuleList(ComplexProduct(lambda n=n: Lstm(n, hidden)) for n in (size, hidden))
        self.linear = ComplexProduct(lambda: nn.Linear(hidden, size))

    def forward(self, x: Tensor) -> Tensor:
        """(2 * batch, channels, bins, frames), channels * bins = size, to the same shape."""
        y = x.flatten(1, 2).transpose(1, 2)
        for lstm in self.rnn.rnns:
            y = lstm(y)
        return self.linear(y).transpose(1, 2).reshape(x.shape)


def transposed(inputs: int, outputs: int, bias: bool) -> ComplexProduct:
    """The transpose of the encoder's convolution: twice the bins, one frame more."""
    return ComplexProduct(lambda: nn.ConvTranspose2d(inputs, outputs, (5, 2), (2, 1), (2, 0), (1, 0), bias=bias))


class Decoder(nn.Module):
    """Transposed complex convolution, batch norm, PReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.deconv = transposed(inputs, outputs, bias=False)
        self.norm = PartWise(lambda: nn.BatchNorm2d(outputs))
        self.activation = PartWise(nn.PReLU)

    def forward(self, x: Tensor) -> Tensor:
        """(2 * batch, inputs, bins, frames) to (2 * batch, outputs, 2 * bins, frames + 1)."""
        return self.activation(self.norm(self.deconv(x)))


def bounded(real: Tensor, imag: Tensor, bound: str) -> tuple[Tensor, Tensor]:
    """Bound a complex mask, given by its parts, as ``MASK_BOUNDS`` says."""
    if bound == "sigmoid":
        return real.sigmoid(), imag.sigmoid()
    power = real.square() + imag.square()
    magnitude = (power + 1e-8).sqrt()  # as in asteroid, where no mask is smaller than 1e-4
    wanted = magnitude.tanh() if bound == "tanh" else magnitude
    still = power == 0
    scale = wanted * power.masked_fill(still, 1).rsqrt()
    return (real + still) * scale, imag * scale


class Masker(nn.Module):
    """U-net of encoders and decoders around the recurrence; its last layer gives the mask."""

    def __init__(self, sizes: DccrnSizes) -> None:
        super().__init__()
        self.bound = sizes.mask_bound
        channels = sizes.channels
        size = channels[-1] * (sizes.bins >> len(channels))
        inputs = (1, *channels[:-1])
        pairs = [(2 * deep, shallow) for shallow, deep in zip(inputs, channels, strict=True)][::-1]
        self.encoders = nn.ModuleList([*map(Encoder, inputs, channels), Recurrence(size, sizes.hidden)])
        # the first of asteroid's decoders, that of the recurrence, does nothing
        self.decoders = nn.ModuleList([nn.Identity(), *(Decoder(*pair) for pair in pairs[:-1])])
        self.output_layer = nn.Sequential(transposed(*pairs[-1], bias=True))

    def forward(self, spec: Tensor) -> Tensor:
        """Estimate the mask.

        Args:
            spec: (batch, bins, frames) complex64; more frames than encoders.

        Returns:
            (batch, bins, frames) complex64.
        """
        return torch.complex(*self.parts(spec.real, spec.imag))

    def parts(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        """The parts of a spectrum, each (batch, bins, frames), to those of the mask."""
        x = torch.cat([real, imag])[:, None]
        heard = []
        *encoders, recurrence = self.encoders
        for encoder in encoders:
            x = encoder(x)
            heard.append(x)
        x = recurrence(x)
        for decoder in self.decoders:
            x = torch.cat([decoder(x), heard.pop()], dim=1)
        return bounded(*self.output_layer(x)[:, 0].chunk(2), self.bound)


class Dccrn(nn.Module):
    """Transform, mask, inverse transform: waveform in, waveform out.

    The mask of a frame depends on all frames before it and on one frame after it for each encoder (6 hops, 37.5 ms);
    so the network is nearly causal, but zeros behind a clip do change its end.
    """

    def __init__(self, sizes: DccrnSizes | None = None) -> None:
        """Build an untrained network.

        Args:
            sizes: None: the defaults.
        """
        super().__init__()
        self.sizes = sizes = sizes or DccrnSizes()
        self.encoder, self.masker, self.decoder = nn.Module(), Masker(sizes), nn.Module()
        for side in (self.encoder, self.decoder):
            side.filterbank = FilterBank(sizes.n_fft, sizes.window, sizes.hop)

    def forward(self, wav: Tensor) -> Tensor:
        """Enhance clips of one length.

        Args:
            wav: (batch, samples) float32; samples >= 1.

        Returns:
            (batch, samples) float32, aligned with the input to the sample.
        """
        samples, sizes = wav.shape[1], self.sizes
        before = sizes.window - sizes.hop if sizes.pad_ends else 0
        frames = max(-(-(before + samples + before - sizes.window) // sizes.hop), len(sizes.channels)) + 1
        total = sizes.window + (frames - 1) * sizes.hop
        out = self.synthesise(self.enhance(self.analyse(functional.pad(wav, (before, total - before - samples)))))
        return out[:, before : before + samples]

    def analyse(self, wav: Tensor) -> Tensor:
        """(batch, window + (frames - 1) * hop) to (batch, bins, frames) complex64."""
        return self.encoder.filterbank.analyse(wav)[:, :-1]

    def enhance(self, spec: Tensor) -> Tensor:
        """(batch, bins, frames) complex64, more frames than encoders, to the same shape."""
        return spec * self.masker(spec)

    def synthesise(self, spec: Tensor) -> Tensor:
        """(batch, bins, frames) complex64 to (batch, window + (frames - 1) * hop)."""
        return self.decoder.filterbank.synthesise(functional.pad(spec, (0, 0, 0, 1)))
