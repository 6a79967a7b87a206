"""ECAPA-TDNN up to its pooling (Desplanques et al., Interspeech 2020); its pooling is `statistics` with attention."""

from typing import Any

import torch
from torch import Tensor, nn

from trnet.config.model import EcapaTdnn
from trnet.model.frames import ValidFrames
from trnet.model.masked_batch_norm import MaskedBatchNorm
from trnet.model.normalise import normalised
from trnet.model.spec_augment import SpecAugment

DILATIONS = (2, 3, 4)


class MaskedNorm(nn.Module):
    """BatchNorm of (B, C, T) that sees real frames only; padding frames become zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = MaskedBatchNorm(channels)

    def forward(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """x (B, C, T) -> the same shape."""
        return frames.maps(self.norm(frames.rows(x[..., None]), frames), 1)[..., 0]


class ConvBlock(nn.Module):
    """BN(ReLU(conv)) over time, as many frames as its input."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv1d(channels_in, channels_out, kernel, dilation=dilation, padding=padding)
        self.norm = MaskedNorm(channels_out)

    def forward(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """x (B, C, T), padding zero -> (B, C', T), padding zero."""
        return self.norm(torch.relu(self.conv(x)), frames)


class SqueezeExcitation(nn.Module):
    """Each channel is scaled by a function of all channels' means over the real frames."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, bottleneck)
        self.excite = nn.Linear(bottleneck, channels)

    def forward(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """x (B, C, T), padding zero -> the same shape."""
        mean = x.sum(2) / frames.lengths[:, None].to(x.dtype)  # (B, C)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))[..., None]


class SERes2Block(nn.Module):
    """1 x 1 convolution, Res2Net of dilated convolutions, 1 x 1 convolution, squeeze and excitation, skip."""

    def __init__(self, channels: int, dilation: int, scale: int, bottleneck: int) -> None:
        super().__init__()
        self.scale, width = scale, channels // scale
        self.first = ConvBlock(channels, channels)
        self.convs = nn.ModuleList(ConvBlock(width, width, 3, dilation) for _ in range(scale - 1))
        self.last = ConvBlock(channels, channels)
        self.excitation = SqueezeExcitation(channels, bottleneck)

    def forward(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """x (B, C, T), padding zero -> the same shape, padding zero."""
        kept, *groups = self.first(x, frames).chunk(self.scale, dim=1)
        outputs = [kept]
        for number, (conv, group) in enumerate(zip(self.convs, groups, strict=True)):
            outputs.append(conv(group + outputs[-1] if number else group, frames))
        return x + self.excitation(self.last(torch.cat(outputs, dim=1), frames), frames)


class EcapaTdnnEncoder(nn.Module):
    """Frame-level layers of ECAPA-TDNN; as many frames as its input."""

    def __init__(self, dim: int, **options: Any) -> None:
        super().__init__()
        conf = EcapaTdnn(**options)
        self.normalise = conf.normalise
        self.masks = SpecAugment(conf.time_masks, conf.time_width, conf.mel_masks, conf.mel_width)
        self.first = ConvBlock(dim, conf.channels, 5)
        self.blocks = nn.ModuleList(
            SERes2Block(conf.channels, dilation, conf.scale, conf.attention) for dilation in DILATIONS
        )
        self.join = nn.Conv1d(conf.channels * len(DILATIONS), conf.out_channels, 1)
        self.out_dim = conf.out_channels

    def forward(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """Features (B, T, dim) -> (B, T, out_channels)."""
        if self.normalise != "none":
            x = normalised(x, frames, self.normalise == "mean_std")
        y = self.first((self.masks(x, frames) * frames.mask[..., None]).transpose(1, 2), frames)
        outputs = []
        for block in self.blocks:
            y = block(y, frames)
            outputs.append(y)
        return torch.relu(self.join(torch.cat(outputs, dim=1))).transpose(1, 2)
