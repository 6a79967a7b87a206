"""The network between two Fourier transforms.

From the paper: real and imaginary part of the spectrum as two channels; an encoder of a convolution and a dilated dense
block; four blocks of two improved transformers, sub-band then full-band; a gated masking module; a decoder of a dense
block and a convolution; 0.88 M parameters.

Their sizes are those of the authors' code (github.com/dangf15/DPT-FSNet; no weights are published):
a Hann window of 512 samples with hop 256 on both sides; 64 channels, 32 in the transformers; 4 heads; GRUs of 64 units
in either direction; dense blocks of 4 layers over 2 frames (this and an earlier one, 1, 2, 4 or 8 back) and 3 bins;
layer norm over the bins; 0 Hz left out. They come to 879,460 parameters, and to 14.9 G multiplications a second of
audio, and 0.26 G more for each second that the clip is long.

Choices: the decoder's output is an unbounded complex mask of the spectrum (the default of the authors' code, which has
others); the input is real and imaginary part, as in the paper, not magnitude and phase, as in the code; 0 Hz of the
output is 0; no dropout, as in the code.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend.dpt_fsnet.config import DptFsnetConfig
from trnet.frontend.dpt_fsnet.transformer import DualPathBlocks


class DenseLayer(nn.Module):
    """Convolution over this frame and one ``dilation`` back, and over 3 bins; layer norm over the bins; PReLU."""

    def __init__(self, inputs: int, outputs: int, bins: int, dilation: int) -> None:
        super().__init__()
        self.past = dilation
        self.conv = nn.Conv2d(inputs, outputs, (2, 3), dilation=(dilation, 1))
        self.norm = nn.LayerNorm(bins)
        self.activation = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, frames, bins) to (batch, outputs, frames, bins)."""
        return self.activation(self.norm(self.conv(functional.pad(x, (1, 1, self.past, 0)))))


class DenseBlock(nn.Module):
    """Densely connected layers of dilation 1, 2, 4, ...."""

    def __init__(self, channels: int, bins: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer((i + 1) * channels, channels, bins, 2**i) for i in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, bins) to the same shape."""
        outputs = [x]
        for layer in self.layers:
            outputs.insert(0, layer(torch.cat(outputs, dim=1)))
        return outputs[0]


class GatedConv(nn.Module):
    """The masking module: tanh of one pointwise convolution times the sigmoid of another."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, bins) to the same shape."""
        return self.value(x).tanh() * self.gate(x).sigmoid()


class DptFsnet(nn.Module):
    """Transform, mask, inverse transform: waveform in, waveform out.

    Every frame depends on the whole clip, which is never cut: memory grows with the seconds of audio in the batch, the
    time for attention also with the longest clip. With the defaults in float32 it takes 0.1 GB a second in inference
    and 1.2 GB a second in training, where torch's attention kernel does not keep the weights (CPU, CUDA).
    """

    window: Tensor

    def __init__(self, config: DptFsnetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DptFsnetConfig()
        channels, bins = config.channels, config.bins
        self.enter = nn.Sequential(nn.Conv2d(2, channels, 1), nn.LayerNorm(bins), nn.PReLU(channels))
        self.encoder = DenseBlock(channels, bins, config.depth)
        self.dual_path = DualPathBlocks(channels, config.blocks, config.heads)
        self.gate = GatedConv(channels)
        self.decoder = DenseBlock(channels, bins, config.depth)
        self.leave = nn.Conv2d(channels, 2, 1)
        self.register_buffer("window", torch.hann_window(config.n_fft, device="cpu"), persistent=False)

    @torch.no_grad()
    def start_as_identity(self) -> None:
        """Initial weights with a mask of 1."""
        weight, bias = self.leave.parameters()
        nn.init.zeros_(weight)
        bias.copy_(torch.tensor([1.0, 0.0]))

    def mask(self, spec: Tensor) -> Tensor:
        """The mask, (batch, bins, frames) complex64, of a spectrum of that shape without 0 Hz."""
        frames = spec.transpose(1, 2)
        return torch.complex(*self.mask_parts(frames.real, frames.imag)).transpose(1, 2)

    def mask_parts(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        """The parts of a spectrum, each (batch, frames, bins) without 0 Hz, to those of the mask."""
        x = self.dual_path(self.encoder(self.enter(torch.stack([real, imag], dim=1))))
        by_real, by_imag = self.leave(self.decoder(self.gate(x))).unbind(1)
        return by_real, by_imag

    def forward(self, wav: Tensor) -> Tensor:
        """Enhance clips of one length, (batch, samples) float32, samples >= 1; aligned with the input to the sample.

        A clip is padded with half a frame of silence in front and at least that behind, so its ends are not faded.
        """
        samples, (n_fft, hop) = wav.shape[1], (self.config.n_fft, self.config.hop)
        padded = functional.pad(wav, (n_fft // 2, n_fft // 2 + -samples % hop))
        spec = torch.stft(padded, n_fft, hop, window=self.window, center=False, return_complex=True)[:, 1:]
        out = functional.pad(spec * self.mask(spec), (0, 0, 1, 0))
        return torch.istft(out, n_fft, hop, window=self.window, center=True, length=samples)
