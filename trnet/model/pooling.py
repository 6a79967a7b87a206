"""From an encoder's frames to one vector an utterance (Section 3.3).

Somebody's own class is named in YAML as ``pooling: {type: package.module:Class}``; it is an `nn.Module` made as
``Class(dim, **options)``, has ``out_dim``, and takes y (B, T', dim) and its real frames to (B, out_dim).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.config.model import AttentionConf, PoolingConf, StatisticsConf
from trnet.model.frames import ValidFrames
from trnet.model.parts import make_part
from trnet.model.precision import full

SMALLEST_VARIANCE = 1e-7


class AttentionPooling(nn.Module):
    """Softmax attention over the real frames (Mirsamadi et al., ICASSP 2017)."""

    def __init__(self, dim: int, **options: Any) -> None:
        super().__init__()
        conf = AttentionConf(**options)
        self.values = nn.Linear(dim, conf.values) if conf.values else None
        self.out_dim = conf.values or dim
        if conf.attention:
            self.score = nn.Sequential(nn.Linear(self.out_dim, conf.attention), nn.Tanh(), nn.Linear(conf.attention, 1))
        else:
            self.score = nn.Sequential(nn.Linear(self.out_dim, 1))
        self.clamp = conf.clamp

    def forward(self, y: Tensor, frames: ValidFrames) -> Tensor:
        """y (B, T', D) -> h (B, out_dim) float32."""
        if self.values is not None:
            y = self.values(y)
        scores = full(self.score(y)).squeeze(2)  # (B, T')
        if self.clamp:
            scores = scores.clamp(-self.clamp, self.clamp)
        weights = torch.softmax(scores.masked_fill(~frames.mask, -torch.inf), dim=1)
        return (weights[..., None] * full(y)).sum(dim=1)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over the real frames, where asked for with attention for each channel.

    The attention sees each frame beside the mean and deviation of the utterance (Desplanques et al., Interspeech 2020).
    """

    def __init__(self, dim: int, **options: Any) -> None:
        super().__init__()
        conf = StatisticsConf(**options)
        self.out_dim = 2 * dim
        self.score = None
        if conf.attention:
            self.score = nn.Sequential(nn.Linear(3 * dim, conf.attention), nn.Tanh(), nn.Linear(conf.attention, dim))

    def forward(self, y: Tensor, frames: ValidFrames) -> Tensor:
        """y (B, T', D) -> h (B, 2 D) float32."""
        y, mask = full(y), frames.mask[..., None]  # (B, T', 1)
        weights = mask / frames.lengths[:, None, None].to(y.dtype)
        mean, deviation = _statistics(y, weights)
        if self.score is not None:
            scores = full(self._scores(y, torch.cat([mean, deviation], dim=1)))  # (B, T', D)
            mean, deviation = _statistics(y, torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=1))
        return torch.cat([mean, deviation], dim=1)

    def _scores(self, y: Tensor, around: Tensor) -> Tensor:
        """Attention of frames y (B, T', D) beside what is the same for all of them, `around` (B, 2 D) -> (B, T', D).

        The first layer is applied to the two parts apart, so that the second is not computed for every frame.
        """
        assert self.score is not None
        first, after, last = self.score
        assert isinstance(first, nn.Linear)
        of_frames, of_all = first.weight.split([y.shape[2], around.shape[1]], dim=1)
        hidden = functional.linear(y, of_frames) + functional.linear(around, of_all, first.bias)[:, None]
        scores: Tensor = last(after(hidden))
        return scores


def _statistics(y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (B, D) of y (B, T', D) under weights that sum to one over time."""
    mean = (weights * y).sum(dim=1)
    variance = (weights * (y - mean[:, None]).square()).sum(dim=1)
    return mean, variance.clamp_min(SMALLEST_VARIANCE).sqrt()


POOLINGS: dict[str, type[nn.Module]] = {"attention": AttentionPooling, "statistics": StatisticsPooling}


def make_pooling(dim: int, options: PoolingConf) -> nn.Module:
    """The pooling that a section names, of frames of `dim` values."""
    return make_part(POOLINGS, options, "pooling", dim)
