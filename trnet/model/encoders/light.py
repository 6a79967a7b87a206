"""A light encoder for features that already hold much, such as hidden states of a pretrained network."""

from typing import Any

import torch
from torch import Tensor, nn

from trnet.config.model import Light
from trnet.model.frames import ValidFrames


class LightEncoder(nn.Module):
    """Layer norm and projection, then 1-d convolutions with skip connections; as many frames as its input."""

    def __init__(self, dim: int, **options: Any) -> None:
        super().__init__()
        conf = Light(**options)
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, conf.channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(conf.channels, conf.channels, conf.kernel, padding=conf.kernel // 2) for _ in range(conf.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(conf.channels) for _ in range(conf.layers))
        self.dropout = nn.Dropout(conf.dropout)
        self.out_dim = conf.channels

    def forward(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """Features (B, T, dim) -> (B, T, channels)."""
        mask = frames.mask[..., None]  # (B, T, 1)
        y = self.project(self.norm(x)) * mask
        for conv, norm in zip(self.convs, self.norms, strict=True):
            change = torch.relu(norm(conv(y.transpose(1, 2)).transpose(1, 2)))
            y = (y + self.dropout(change)) * mask
        return y
