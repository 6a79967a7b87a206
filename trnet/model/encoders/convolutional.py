"""Convolutional encoders of the SER module (Section 3.3, 4.2), over time and frequency."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.config.model import Convolutional, Plain, Residual
from trnet.model.encoders.windows import convolved
from trnet.model.frames import StaticFrames, ValidFrames
from trnet.model.masked_batch_norm import MaskedBatchNorm, added
from trnet.model.normalise import normalised
from trnet.model.precision import full
from trnet.model.spec_augment import SpecAugment


def add_deltas(x: Tensor, frames: ValidFrames) -> Tensor:
    """x (B, T, F) -> (B, 3, T, F): static, delta and delta-delta; each clip's last frame stands for what follows it."""

    def delta(y: Tensor) -> Tensor:  # the slope of a line through five frames
        z = frames.extended(y, 2)
        return (z[:, 3:-1] - z[:, 1:-3] + 2 * (z[:, 4:] - z[:, :-4])) / 10

    first = delta(x)
    return torch.stack([x, first, delta(first)], dim=1)


class ResidualBlock(nn.Module):
    """ReLU(BN(conv k x k, stride 2) + BN(conv 1 x 1, stride 2)); BatchNorm sees real frames only.

    The 1 x 1 convolution is a matrix product over every second frame and bin: the same numbers, and oneDNN's own
    strided 1 x 1 convolution writes out of bounds for few channels in channels_last memory (PyTorch 2.11, CPU). Its
    rows are packed behind it: their number differs in each batch, and oneDNN compiles a product for each shape.
    """

    @staticmethod
    def halved(sizes: Tensor) -> Tensor:
        """What the block leaves of so many frames or bins, (N,) -> (N,)."""
        return (sizes + 1) >> 1  # a GPU divides integers slowly

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride=2, padding=kernel // 2, bias=False)
        self.norm = MaskedBatchNorm(channels_out)
        self.shortcut = nn.Linear(channels_in, channels_out, bias=False)
        self.shortcut_norm = MaskedBatchNorm(channels_out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, frames: ValidFrames) -> tuple[Tensor, ValidFrames]:
        """x (B, C, T, F), padding zero -> (B, C', ceil(T / 2), ceil(F / 2)), padding zero."""
        main = convolved(self.conv, x, frames)
        frames = frames.resized(self.halved(frames.counts), main.shape[2])
        halves = x.permute(0, 2, 3, 1)[:, ::2, ::2]  # in this order, so that its gradient is channels_last as main's
        short = frames.rows(self.shortcut(halves).permute(0, 3, 1, 2))
        rows = added([self.norm, self.shortcut_norm], [frames.rows(main), short], frames, relu=True)
        return frames.maps(self.dropout(rows), main.shape[3]), frames


class PlainBlock(nn.Module):
    """2 x 2 max-pool of ReLU(BN(conv k x k)), as in the authors' release; BatchNorm sees real frames only."""

    @staticmethod
    def halved(sizes: Tensor) -> Tensor:
        """What the block leaves of so many frames or bins, (N,) -> (N,); at least one."""
        return (sizes >> 1).clamp_min(1)

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
        self.norm = MaskedBatchNorm(channels_out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, frames: ValidFrames) -> tuple[Tensor, ValidFrames]:
        """x (B, C, T, F), padding zero -> (B, C', floor(T / 2), floor(F / 2)), at least one of each; padding zero."""
        y = self.conv(x)
        y = frames.maps(added([self.norm], [frames.rows(y)], frames, relu=True), y.shape[3])
        if y.shape[2] % 2 and y.shape[2] == 1:
            y = functional.pad(y, (0, 0, 0, 1))
        if y.shape[3] == 1:
            y = functional.pad(y, (0, 1))
        y = functional.max_pool2d(y, 2)
        frames = frames.resized(self.halved(frames.counts), y.shape[2])
        return self.dropout(frames.zero(y)), frames


class ConvEncoder(nn.Module):
    """A stack of convolutional blocks of one type over one channel (or three with deltas), averaged over frequency.

    See `trnet.model.encoders.Encoder` for what all encoders have. Its blocks can be tapped (for CTC): each gives maps
    (B, C, T', F') and their real frames.
    """

    Options: ClassVar[type[Convolutional]]
    block: ClassVar[type[ResidualBlock] | type[PlainBlock]]

    def __init__(self, dim: int, **options: Any) -> None:
        super().__init__()
        conf = self.Options(**options)
        self.dim, self.deltas, self.normalise = dim, conf.deltas, conf.normalise
        self.masks = SpecAugment(conf.time_masks, conf.time_width, conf.mel_masks, conf.mel_width)
        self.input_norm = MaskedBatchNorm(dim) if conf.input_norm else None
        self.channels = [3 if conf.deltas else 1, *conf.channels]
        self.blocks = nn.ModuleList(
            self.block(low, high, conf.kernel, conf.dropout)
            for low, high in zip(self.channels[:-1], self.channels[1:], strict=True)
        )
        self.out_dim = self.channels[-1]

    def forward(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """Features (B, T, F) -> (B, T', C) float32."""
        if self.normalise != "none":
            x = normalised(x, frames, self.normalise == "mean_std")
        x = self.masks(x, frames)
        y = add_deltas(x, frames) if self.deltas else x[:, None]  # (B, 1 or 3, T, F)
        if self.input_norm is not None:
            y = self._normalised(y, frames)
        y = frames.zero(y)
        if y.shape[1] > 1 or not isinstance(frames, StaticFrames):  # one channel is in channels_last memory as it is
            y = y.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            y, frames = block(y, frames)
        return full(y).mean(dim=3).transpose(1, 2)

    def _normalised(self, y: Tensor, frames: ValidFrames) -> Tensor:
        assert self.input_norm is not None
        rows = frames.rows(y.transpose(1, 3))  # (N * channels, mels)
        return frames.maps(self.input_norm(rows, frames), y.shape[1]).transpose(1, 3)

    def lengths(self, counts: Tensor) -> Tensor:
        """Frames that are left of so many, (B,) -> (B,)."""
        return self._halved(counts, len(self.blocks))

    def _halved(self, sizes: Tensor, blocks: int) -> Tensor:
        for _ in range(blocks):
            sizes = self.block.halved(sizes)
        return sizes

    @property
    def tapped(self) -> list[nn.Module]:
        """The blocks, for whoever listens to one by a forward hook."""
        return list(self.blocks)

    def tap_lengths(self, tap: int, counts: Tensor) -> Tensor:
        """Frames after the first `tap` blocks of so many, (B,) -> (B,)."""
        return self._halved(counts, tap)

    def tap_dim(self, tap: int) -> int:
        """Values of a frame after the first `tap` blocks: channels times frequencies."""
        return self.channels[tap] * int(self._halved(torch.tensor([self.dim]), tap))


class ResidualEncoder(ConvEncoder):
    """The paper's encoder, of residual blocks."""

    Options = Residual
    block = ResidualBlock


class PlainEncoder(ConvEncoder):
    """The encoder of the authors' release."""

    Options = Plain
    block = PlainBlock
