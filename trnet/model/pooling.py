"""From encoder maps to one vector an utterance: mean over frequency, attention over time (Section 3.3)."""

import torch
from torch import Tensor, nn

from trnet.config.experiment import Pooling
from trnet.model.frames import ValidFrames


class AttentionPooling(nn.Module):
    """Softmax attention over the real frames (Mirsamadi et al., ICASSP 2017)."""

    def __init__(self, channels: int, conf: Pooling) -> None:
        super().__init__()
        self.values = nn.Linear(channels, conf.values) if conf.values else None
        self.out_dim = conf.values or channels
        if conf.attention:
            self.score = nn.Sequential(nn.Linear(self.out_dim, conf.attention), nn.Tanh(), nn.Linear(conf.attention, 1))
        else:
            self.score = nn.Sequential(nn.Linear(self.out_dim, 1))
        self.clamp = conf.clamp

    def forward(self, maps: Tensor, frames: ValidFrames) -> Tensor:
        """Maps (B, C, T', F') -> h (B, D) float32."""
        y = maps.float().mean(dim=3).transpose(1, 2)  # (B, T', C)
        if self.values is not None:
            y = self.values(y)
        scores = self.score(y).squeeze(2).float()  # (B, T')
        if self.clamp:
            scores = scores.clamp(-self.clamp, self.clamp)
        weights = torch.softmax(scores.masked_fill(~frames.mask, -torch.inf), dim=1)
        return (weights[..., None] * y.float()).sum(dim=1)
