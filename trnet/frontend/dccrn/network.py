"""The network; parameters are named as in asteroid's ``DCCRNet``."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend.dccrn.complex import ComplexProduct, Lstm, PartWise
from trnet.frontend.dccrn.config import DccrnConfig
from trnet.frontend.dccrn.transform import FilterBank


class EncoderBlock(nn.Module):
    """Complex convolution over 5 bins and 2 frames with stride 2 in frequency, batch norm, PReLU.

    Not padded in time: the output is a frame shorter, and each frame depends on the next one of the input.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ComplexProduct(lambda: nn.Conv2d(inputs, outputs, (5, 2), (2, 1), (2, 0), bias=False))
        self.norm = PartWise(lambda: nn.BatchNorm2d(outputs))
        self.activation = PartWise(nn.PReLU)

    def forward(self, x: Tensor) -> Tensor:
        """(2 * batch, inputs, bins, frames) to (2 * batch, outputs, bins / 2, frames - 1)."""
        return self.activation(self.norm(self.conv(x)))


class LstmLayers(nn.Module):
    """Two complex LSTM layers."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.rnns = nn.ModuleList(ComplexProduct(partial(Lstm, inputs, hidden)) for inputs in (size, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """(2 * batch, frames, size) to (2 * batch, frames, hidden)."""
        for lstm in self.rnns:
            x = lstm(x)
        return x


class Recurrence(nn.Module):
    """Complex LSTM layers over the frames and a complex linear layer back to the input's size."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.rnn = LstmLayers(size, hidden)
        self.linear = ComplexProduct(lambda: nn.Linear(hidden, size))

    def forward(self, x: Tensor) -> Tensor:
        """(2 * batch, channels, bins, frames), channels * bins = size, to the same shape."""
        y = self.rnn(x.flatten(1, 2).transpose(1, 2))
        return self.linear(y).transpose(1, 2).reshape(x.shape)


def transposed(inputs: int, outputs: int, bias: bool) -> ComplexProduct:
    """The transpose of the encoder's convolution: twice the bins, one frame more."""
    return ComplexProduct(lambda: nn.ConvTranspose2d(inputs, outputs, (5, 2), (2, 1), (2, 0), (1, 0), bias=bias))


class DecoderBlock(nn.Module):
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
    """Bound a complex mask, given by its parts, see ``DccrnConfig.mask_bound``."""
    if bound == "sigmoid":
        return real.sigmoid(), imag.sigmoid()
    power = real.square() + imag.square()
    magnitude = (power + 1e-8).sqrt()  # as in asteroid, where no mask is smaller than 1e-4
    limited = magnitude.tanh() if bound == "tanh" else magnitude
    zero = power == 0
    scale = limited * power.masked_fill(zero, 1).rsqrt()
    return (real + zero) * scale, imag * scale


class Masker(nn.Module):
    """U-net of encoders and decoders around the recurrence; its last layer estimates the mask."""

    def __init__(self, config: DccrnConfig) -> None:
        super().__init__()
        self.bound = config.mask_bound
        channels = config.channels
        size = channels[-1] * (config.bins >> len(channels))
        inputs = (1, *channels[:-1])
        pairs = [(2 * deep, shallow) for shallow, deep in zip(inputs, channels, strict=True)][::-1]
        self.encoders = nn.ModuleList([*map(EncoderBlock, inputs, channels), Recurrence(size, config.hidden)])
        # the first of asteroid's decoders, that of the recurrence, does nothing
        self.decoders = nn.ModuleList([nn.Identity(), *(DecoderBlock(*pair) for pair in pairs[:-1])])
        self.output_layer = nn.Sequential(transposed(*pairs[-1], bias=True))

    def forward(self, spec: Tensor) -> Tensor:
        """The mask of a spectrum, (batch, bins, frames) complex64; there are more frames than encoders."""
        return torch.complex(*self.parts(spec.real, spec.imag))

    def parts(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        """The parts of a spectrum, each (batch, bins, frames), to those of the mask."""
        x = torch.cat([real, imag])[:, None]
        skips = []
        *encoders, recurrence = self.encoders
        for encoder in encoders:
            x = encoder(x)
            skips.append(x)
        x = recurrence(x)
        for decoder in self.decoders:
            x = torch.cat([decoder(x), skips.pop()], dim=1)
        mask_real, mask_imag = self.output_layer(x)[:, 0].chunk(2)
        return bounded(mask_real, mask_imag, self.bound)


class Transform(nn.Module):
    """The Fourier transform of one side, analysis or synthesis."""

    def __init__(self, config: DccrnConfig) -> None:
        super().__init__()
        self.filterbank = FilterBank(config.n_fft, config.window, config.hop)


class Dccrn(nn.Module):
    """Transform, mask, inverse transform: waveform in, waveform out.

    The mask of a frame depends on all frames before it and one frame after it for each encoder (6 hops, 37.5 ms), so
    the network is nearly causal, but padding a clip changes its end.
    """

    def __init__(self, config: DccrnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DccrnConfig()
        self.encoder, self.masker, self.decoder = Transform(config), Masker(config), Transform(config)

    def forward(self, wav: Tensor) -> Tensor:
        """Enhance clips of one length, (batch, samples) float32, samples >= 1; aligned with the input to the sample."""
        samples, config = wav.shape[1], self.config
        before = config.window - config.hop if config.pad_ends else 0
        frames = max(-(-(before + samples + before - config.window) // config.hop), len(config.channels)) + 1
        total = config.window + (frames - 1) * config.hop
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
