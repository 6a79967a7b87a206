"""GTCRN front-end: a 48 k parameter causal enhancer for 16 kHz speech.

Rong, Sun, Zhang, Hu, Zhu, Lu: "GTCRN: A Speech Enhancement Model Requiring Ultralow Computational
Resources", ICASSP 2024. Written anew from the paper; the names of the parameters are those of the
authors' checkpoints (github.com/Xiaobin-Rong/gtcrn, MIT), which load unchanged.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend.base import FrontEnd, at_level, check_level
from trnet.frontend.checkpoint import checkpoint_path, load_strict, read_state
from trnet.utils.stamp import file_sha256

N_FFT = 512
HOP = 256
RATE = 16000
KEPT_BINS = 65
ERB_BANDS = 64
CHANNELS = 16
WIDTH = 33  # bands left after two convolutions of stride 2 over 65 + 64 = 129


def erb_bank() -> Tensor:
    """Triangular filters with centres evenly spaced on the ERB-rate scale from 2031 Hz to 8 kHz.

    The scale is 21.4 log10(1 + 0.00437 f) (Glasberg and Moore 1990). Centres are whole bins; each filter is 1 at its
    centre and 0 at its neighbours'.

    Returns:
        (64, 192) float32: bands by the STFT bins 65..256.
    """
    edges = 21.4 * np.log10(1 + 0.00437 * np.array([KEPT_BINS / N_FFT * RATE, RATE / 2]))
    hertz = (10 ** (np.linspace(edges[0], edges[1], ERB_BANDS) / 21.4) - 1) / 0.00437
    centres = np.round(hertz * N_FFT / RATE)
    bins = np.arange(KEPT_BINS, N_FFT // 2 + 1)
    hats = [np.interp(bins, centres, peak) for peak in np.eye(ERB_BANDS)]
    return torch.tensor(np.stack(hats), dtype=torch.float32)


def with_neighbours(x: Tensor) -> Tensor:
    """Stack each band of (batch, channels, frames, bands) with the bands beside it (zeros past the edges).

    Returns:
        (batch, 3 * channels, frames, bands); channel 3c + k holds band f - 1 + k of channel c.
    """
    padded = functional.pad(x, (1, 1))
    return torch.stack([padded[..., :-2], x, padded[..., 2:]], dim=2).flatten(1, 2)


class BandMerging(nn.Module):
    """Fixed matrices from the upper 192 STFT bins to 64 ERB bands and back."""

    def __init__(self) -> None:
        super().__init__()
        upper = N_FFT // 2 + 1 - KEPT_BINS
        self.erb_fc = nn.Linear(upper, ERB_BANDS, bias=False)
        self.ierb_fc = nn.Linear(ERB_BANDS, upper, bias=False)
        bank = erb_bank()
        with torch.no_grad():
            self.erb_fc.weight.copy_(bank)
            self.ierb_fc.weight.copy_(bank.T)
        self.requires_grad_(False)

    def merge(self, x: Tensor) -> Tensor:
        """(..., 257) bins to (..., 129) bands."""
        return torch.cat([x[..., :KEPT_BINS], self.erb_fc(x[..., KEPT_BINS:])], dim=-1)

    def spread(self, x: Tensor) -> Tensor:
        """(..., 129) bands to (..., 257) bins."""
        return torch.cat([x[..., :KEPT_BINS], self.ierb_fc(x[..., KEPT_BINS:])], dim=-1)


class BandConv(nn.Module):
    """Convolution over 5 bands with stride 2 (transposed: back), batch norm, activation."""

    def __init__(self, inputs: int, outputs: int, groups: int, up: bool, last: bool) -> None:
        super().__init__()
        kind = nn.ConvTranspose2d if up else nn.Conv2d
        self.conv = kind(inputs, outputs, (1, 5), (1, 2), (0, 2), groups=groups)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.Tanh() if last else nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, frames, bands) to (batch, outputs, frames, halved or doubled bands)."""
        return self.act(self.bn(self.conv(x)))


class FrameAttention(nn.Module):
    """A gain for each channel and frame, from the mean energies up to that frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.att_gru = nn.GRU(channels, 2 * channels, batch_first=True)
        self.att_fc = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Scale x, (batch, channels, frames, bands), by gains in (0, 1)."""
        energy = x.square().mean(dim=3).transpose(1, 2)
        gain = torch.sigmoid(self.att_fc(self.att_gru(energy)[0]))
        return x * gain.transpose(1, 2).unsqueeze(3)


class GroupedTemporalConv(nn.Module):
    """Half of the channels through a causal dilated depthwise block, then shuffled with the rest."""

    def __init__(self, dilation: int, up: bool) -> None:
        """``dilation`` is in frames; ``up``: transposed convolutions, as in the decoder; shapes are the same."""
        super().__init__()
        kind = nn.ConvTranspose2d if up else nn.Conv2d
        half = CHANNELS // 2
        self.past = 2 * dilation
        self.point_conv1 = kind(3 * half, CHANNELS, 1)
        self.point_bn1 = nn.BatchNorm2d(CHANNELS)
        self.point_act = nn.PReLU()
        self.depth_conv = kind(
            CHANNELS, CHANNELS, 3, padding=(self.past if up else 0, 1), dilation=(dilation, 1), groups=CHANNELS
        )
        self.depth_bn = nn.BatchNorm2d(CHANNELS)
        self.depth_act = nn.PReLU()
        self.point_conv2 = kind(CHANNELS, half, 1)
        self.point_bn2 = nn.BatchNorm2d(half)
        self.tra = FrameAttention(half)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 16, frames, 33) to the same shape."""
        processed, kept = x.chunk(2, dim=1)
        y = self.point_act(self.point_bn1(self.point_conv1(with_neighbours(processed))))
        y = functional.pad(y, (0, 0, self.past, 0))
        y = self.depth_act(self.depth_bn(self.depth_conv(y)))
        y = self.tra(self.point_bn2(self.point_conv2(y)))
        return torch.stack([y, kept], dim=2).flatten(1, 2)


class PairedGru(nn.Module):
    """Two GRUs, each over its half of the features."""

    def __init__(self, features: int, hidden: int, bidirectional: bool) -> None:
        super().__init__()
        args = (features // 2, hidden // 2)
        self.rnn1 = nn.GRU(*args, batch_first=True, bidirectional=bidirectional)
        self.rnn2 = nn.GRU(*args, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor) -> Tensor:
        """(sequences, steps, features) to (sequences, steps, hidden, twice that if bidirectional)."""
        first, second = x.chunk(2, dim=2)
        return torch.cat([self.rnn1(first)[0], self.rnn2(second)[0]], dim=2)


class DualPathRnn(nn.Module):
    """A bidirectional recurrence along bands, then a forward one along frames, both residual."""

    def __init__(self) -> None:
        super().__init__()
        self.intra_rnn = PairedGru(CHANNELS, CHANNELS // 2, bidirectional=True)
        self.intra_fc = nn.Linear(CHANNELS, CHANNELS)
        self.intra_ln = nn.LayerNorm([WIDTH, CHANNELS], eps=1e-8)
        self.inter_rnn = PairedGru(CHANNELS, CHANNELS, bidirectional=False)
        self.inter_fc = nn.Linear(CHANNELS, CHANNELS)
        self.inter_ln = nn.LayerNorm([WIDTH, CHANNELS], eps=1e-8)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 16, frames, 33) to the same shape."""
        batch = x.shape[0]
        x = x.permute(0, 2, 3, 1)
        along = self.intra_fc(self.intra_rnn(x.flatten(0, 1))).unflatten(0, (batch, -1))
        x = x + self.intra_ln(along)
        along = self.inter_fc(self.inter_rnn(x.transpose(1, 2).flatten(0, 1)))
        x = x + self.inter_ln(along.unflatten(0, (batch, -1)).transpose(1, 2))
        return x.permute(0, 3, 1, 2)


class GtcrnEncoder(nn.Module):
    """Two strided convolutions over bands, then three temporal ones."""

    def __init__(self) -> None:
        super().__init__()
        self.en_convs = nn.ModuleList(
            [
                BandConv(9, 16, 1, up=False, last=False),
                BandConv(16, 16, 2, up=False, last=False),
                *(GroupedTemporalConv(dilation, up=False) for dilation in (1, 2, 5)),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(batch, 9, frames, 129) to the outputs of all layers, the last of which is (batch, 16, frames, 33)."""
        outputs = []
        for layer in self.en_convs:
            x = layer(x)
            outputs.append(x)
        return outputs


class GtcrnDecoder(nn.Module):
    """The encoder's layers transposed, in reverse order, each with a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.de_convs = nn.ModuleList(
            [
                *(GroupedTemporalConv(dilation, up=True) for dilation in (5, 2, 1)),
                BandConv(16, 16, 2, up=True, last=False),
                BandConv(16, 2, 1, up=True, last=True),
            ]
        )

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """(batch, 16, frames, 33) and the encoder's outputs to (batch, 2, frames, 129)."""
        for layer, skip in zip(self.de_convs, reversed(skips), strict=True):
            x = layer(x + skip)
        return x


class Gtcrn(nn.Module):
    """The causal network: a complex spectrum in, the spectrum times a complex mask out."""

    def __init__(self) -> None:
        super().__init__()
        self.erb = BandMerging()
        self.encoder = GtcrnEncoder()
        self.dpgrnn1 = DualPathRnn()
        self.dpgrnn2 = DualPathRnn()
        self.decoder = GtcrnDecoder()

    def forward(self, spec: Tensor) -> Tensor:
        """Enhance a spectrum, (batch, 257, frames) complex64, to the same shape."""
        frames = spec.transpose(1, 2)
        mask = self.mask(frames.real, frames.imag)
        return (frames * torch.complex(mask[:, 0], mask[:, 1])).transpose(1, 2)

    def mask(self, real: Tensor, imag: Tensor) -> Tensor:
        """The parts of a spectrum, each (batch, frames, 257), to those of the mask, (batch, 2, frames, 257)."""
        magnitude = (real.square() + imag.square() + 1e-12).sqrt()
        x = torch.stack([magnitude, real, imag], dim=1)
        skips = self.encoder(with_neighbours(self.erb.merge(x)))
        x = self.dpgrnn2(self.dpgrnn1(skips[-1]))
        return self.erb.spread(self.decoder(x, skips))


class GtcrnFrontEnd(FrontEnd):
    """GTCRN between an STFT and its inverse (512 points, hop 256, square-root Hann).

    The authors' STFT mirrors the signal at both ends and leaves out the samples after the last whole hop. Here the
    mirrored end continues to the next whole hop, which adds a frame: the output has the input's length and, as the
    network is causal, equals the authors' output. A clip too short for one mirror image is mirrored repeatedly.
    """

    window: Tensor
    sample_rate = RATE
    causal = True

    def __init__(self, checkpoint: str | None = None, init: str | None = None, level_dbfs: float | None = None) -> None:
        """Build the network and load it.

        Args:
            checkpoint: a ``model_trained_on_*.tar`` of the authors (dict with the entry ``model``).
            init: ``"random"`` for an untrained network instead.
            level_dbfs: RMS of the network's input, dB re full scale; None: unchanged, as the authors do.
        """
        super().__init__({"checkpoint": checkpoint, "init": init, "level_dbfs": level_dbfs})
        self.level_dbfs = check_level("gtcrn", level_dbfs)
        self.network = Gtcrn()
        self.register_buffer("window", torch.hann_window(N_FFT, device="cpu").sqrt(), persistent=False)
        if (path := checkpoint_path("gtcrn", checkpoint, init)) is not None:
            load_strict(self.network, read_state(path, "model"), path)
            self.checkpoint_sha256 = file_sha256(path)
        self.requires_grad_(False)
        self.eval()

    def enhance_padded(self, wav: Tensor, sizes: list[int]) -> Tensor:
        """(clips, samples) of unequal length to the same shape; each clip mirrored at its own end."""
        total = wav.shape[1]
        size = torch.tensor(sizes, device=wav.device)[:, None]  # (clips, 1)
        inside = torch.arange(total, device=wav.device) < size
        wav, gain = at_level(wav.masked_fill(~inside, 0), self.level_dbfs, size)
        hops = -(-total // HOP)
        index = torch.arange(-HOP, (hops + 1) * HOP, device=wav.device)[None, :]
        used = index < (-(-size // HOP) + 1) * HOP  # up to the last frame with samples of the clip
        period = (2 * (size - 1)).clamp_min(1)
        index = index.remainder(period)
        mirrored = wav.gather(1, torch.minimum(index, period - index).minimum(size - 1)) * used
        spec = torch.stft(mirrored, N_FFT, HOP, window=self.window, center=False, return_complex=True)
        out = torch.istft(self.network(spec), N_FFT, HOP, window=self.window, center=True)
        return out[:, :total] / gain
