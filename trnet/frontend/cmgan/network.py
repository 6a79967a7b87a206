"""The generator of CMGAN (Cao et al. 2022, Section 2.1): encoder, conformers along time and frequency, two decoders.

Feature maps are (batch, channels, frames, bands), with 201 bands at both ends and 101 within.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend.cmgan.conformer import HEADS, ConformerBlock
from trnet.frontend.cmgan.spectral import BINS

DEPTH = 4


def conv_norm_act(conv: nn.Conv2d) -> nn.Sequential:
    """A convolution, instance norm over frames and bands, and PReLU of one slope a channel."""
    channels = conv.out_channels
    return nn.Sequential(conv, nn.InstanceNorm2d(channels, affine=True), nn.PReLU(channels))


class DilatedDense(nn.Module):
    """Four densely connected convolutions over 3 bands and the frames t and t - 1, 2, 4, 8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for i in range(DEPTH):
            conv = nn.Conv2d((i + 1) * channels, channels, (2, 3), padding=(0, 1), dilation=(2**i, 1))
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"norm{i + 1}", nn.InstanceNorm2d(channels, affine=True))
            self.add_module(f"prelu{i + 1}", nn.PReLU(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, bands) to the same shape."""
        for i in range(DEPTH):
            y = functional.pad(x, (0, 0, 2**i, 0))
            for layer in ("conv", "norm", "prelu"):
                y = self.get_submodule(f"{layer}{i + 1}")(y)
            x = torch.cat([y, x], dim=1)
        return y


class DenseEncoder(nn.Module):
    """Magnitude, real and imaginary part to feature maps at half the bands."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1 = conv_norm_act(nn.Conv2d(3, channels, 1))
        self.dilated_dense = DilatedDense(channels)
        self.conv_2 = conv_norm_act(nn.Conv2d(channels, channels, (1, 3), (1, 2), padding=(0, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 3, frames, 201) to (batch, channels, frames, 101)."""
        return self.conv_2(self.dilated_dense(self.conv_1(x)))


class TwoStageConformer(nn.Module):
    """A conformer along the frames of each band, then one along the bands of each frame, both residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.time_conformer = ConformerBlock(channels)
        self.freq_conformer = ConformerBlock(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, bands) to the same shape."""
        batch = x.shape[0]
        x = x.permute(0, 3, 2, 1).flatten(0, 1)  # (batch * bands, frames, channels)
        x = x + self.time_conformer(x)
        x = x.reshape(batch, -1, *x.shape[1:]).transpose(1, 2).flatten(0, 1)  # (batch * frames, bands, channels)
        x = x + self.freq_conformer(x)
        return x.reshape(batch, -1, *x.shape[1:]).permute(0, 3, 1, 2)


class SubPixelConv(nn.Module):
    """Twice the bands: a convolution doubles the channels, which become even and odd bands."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, bands) to (batch, channels, frames, 2 * bands)."""
        even, odd = self.conv(x).chunk(2, dim=1)
        return torch.stack([even, odd], dim=4).flatten(3)


class MaskDecoder(nn.Module):
    """Feature maps to a mask of the magnitude; the last PReLU has a slope for each bin."""

    def __init__(self, channels: int, bins: int) -> None:
        super().__init__()
        self.dense_block = DilatedDense(channels)
        self.sub_pixel = SubPixelConv(channels)
        self.conv_1 = nn.Conv2d(channels, 1, (1, 2))
        self.norm = nn.InstanceNorm2d(1, affine=True)
        self.prelu = nn.PReLU(1)
        self.final_conv = nn.Conv2d(1, 1, 1)
        self.prelu_out = nn.PReLU(bins, init=-0.25)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, 101) to (batch, frames, 201)."""
        x = self.conv_1(self.sub_pixel(self.dense_block(x)))
        x = self.final_conv(self.prelu(self.norm(x))).squeeze(1)
        return self.prelu_out(x.transpose(1, 2)).transpose(1, 2)


class ComplexDecoder(nn.Module):
    """Feature maps to a residual of the real and the imaginary part."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dense_block = DilatedDense(channels)
        self.sub_pixel = SubPixelConv(channels)
        self.norm = nn.InstanceNorm2d(channels, affine=True)
        self.prelu = nn.PReLU(channels)
        self.conv = nn.Conv2d(channels, 2, (1, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, 101) to (batch, 2, frames, 201)."""
        return self.conv(self.prelu(self.norm(self.sub_pixel(self.dense_block(x)))))


class TscNet(nn.Module):
    """The generator: a compressed spectrum in, that of the enhanced speech out.

    Its norms and its attention span the whole clip: padding or cutting frames changes all others.
    """

    def __init__(self, num_channel: int = 64, num_features: int = BINS) -> None:
        """Build it untrained; ``num_channel`` is a multiple of 4, ``num_features`` (bins) odd."""
        super().__init__()
        assert num_channel % HEADS == 0 and num_features % 2 == 1
        self.dense_encoder = DenseEncoder(num_channel)
        self.TSCB_1 = TwoStageConformer(num_channel)
        self.TSCB_2 = TwoStageConformer(num_channel)
        self.TSCB_3 = TwoStageConformer(num_channel)
        self.TSCB_4 = TwoStageConformer(num_channel)
        self.mask_decoder = MaskDecoder(num_channel, num_features)
        self.complex_decoder = ComplexDecoder(num_channel)

    @torch.no_grad()
    def start_as_identity(self) -> None:
        """Initial weights with a mask of about 1 and a residual of 0."""
        weight, bias = self.mask_decoder.final_conv.parameters()
        nn.init.constant_(weight, 0.01)  # 0 would block the gradient
        nn.init.ones_(bias)
        for parameter in self.complex_decoder.conv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, spec: Tensor) -> tuple[Tensor, Tensor]:
        """Enhance spectra (batch, 3, frames, bins), see :func:`trnet.frontend.cmgan.spectral.compress`.

        Returns:
            Real and imaginary part of the enhanced compressed spectrum, each (batch, frames, bins): mask times
            magnitude with the noisy phase, plus the complex decoder's residual.
        """
        assert spec.ndim == 4 and spec.shape[1] == 3, spec.shape
        x = self.dense_encoder(spec)
        for block in (self.TSCB_1, self.TSCB_2, self.TSCB_3, self.TSCB_4):
            x = block(x)
        _, real, imag = spec.unbind(dim=1)
        mask = self.mask_decoder(x)  # of magnitude * e^(i phase) = real + i imag
        more_real, more_imag = self.complex_decoder(x).unbind(dim=1)
        return mask * real + more_real, mask * imag + more_imag
