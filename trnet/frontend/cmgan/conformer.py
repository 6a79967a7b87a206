"""The conformer block of CMGAN (Cao et al. 2022, Section 2.1.2): feed-forward, attention, convolution, feed-forward.

Gulati et al.: "Conformer", Interspeech 2020, with relative positions after Shaw et al., "Self-Attention with
Relative Position Representations", NAACL 2018. Sequences are (batch, steps, channels) throughout. The nesting of
modules follows the parameter names in the authors' checkpoints.
"""

from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

HEADS = 4
FARTHEST = 512  # largest relative position with an embedding of its own, in steps; farther ones share it
DROPOUT = 0.2
FEED_FORWARD_FACTOR = 4
CONV_FACTOR = 2
KERNEL = 31
SCORES = 2**23
"""Attention scores in memory at a time, 32 MiB: glibc returns larger blocks to the system after each use, which costs
more than the arithmetic."""
ROWS = 16  # queries of a block at least: every block reads all keys and values once more

Fn = TypeVar("Fn", bound=nn.Module)


class FeedForward(nn.Module):
    """Two linear layers with Swish and dropout in between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = FEED_FORWARD_FACTOR * channels
        self.net = nn.Sequential(
            nn.Linear(channels, inner), nn.SiLU(), nn.Dropout(DROPOUT), nn.Linear(inner, channels), nn.Dropout(DROPOUT)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, steps, channels) to the same shape."""
        return self.net(x)


class RelativeAttention(nn.Module):
    """Self-attention of 4 heads whose scores are (q . k + q . E[i - j]) / sqrt(channels / 4).

    E is one learnt vector for each distance of -512..512 steps, the same for all heads.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_kv = nn.Linear(channels, 2 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels)
        self.rel_pos_emb = nn.Embedding(2 * FARTHEST + 1, channels // HEADS)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, steps, channels) to the same shape."""
        parts = self.to_q(x), *self.to_kv(x).chunk(2, dim=2)
        q, k, v = (t.reshape(*t.shape[:2], HEADS, -1).transpose(1, 2).contiguous() for t in parts)
        values = self.attend(q, k, v)  # (batch, heads, steps, channels / heads)
        return self.dropout(self.to_out(values.transpose(1, 2).flatten(2)))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention in blocks of sequences and queries; all are (batch, heads, steps, width).

        Memory is linear in the steps.
        """
        _, heads, steps, _ = q.shape
        together = max(1, SCORES // (heads * steps * min(steps, ROWS)))  # sequences in a block
        groups = zip(q.split(together), k.split(together), v.split(together), strict=True)
        return torch.cat([self._attend_by_queries(*group) for group in groups])

    def _attend_by_queries(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of as many sequences as share a block, in blocks of queries."""
        batch, heads, steps, width = q.shape
        position = torch.arange(steps, device=q.device)
        rows = max(1, SCORES // (batch * heads * steps))
        out = []
        for queries, at in zip((q * width**-0.5).split(rows, dim=2), position.split(rows), strict=True):
            distance = (at[:, None] - position).clamp(-FARTHEST, FARTHEST)
            embedding = self.rel_pos_emb(distance + FARTHEST)  # (rows, steps, width)
            scores = queries @ k.transpose(2, 3) + torch.einsum("bhqd,qnd->bhqn", queries, embedding)
            out.append(scores.softmax(dim=3) @ v)
        return torch.cat(out, dim=2)


class DepthwiseConv(nn.Module):
    """A depthwise convolution along the steps that keeps their number."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, steps) to the same shape."""
        return self.conv(x)


class Transpose(nn.Module):
    """Exchange steps and channels."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, a, b) to (batch, b, a)."""
        return x.transpose(1, 2)


class Convolution(nn.Module):
    """Norm, gated linear layer, depthwise convolution over 31 steps, batch norm, Swish, linear layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = CONV_FACTOR * channels
        self.net = nn.Sequential(
            nn.LayerNorm(channels),
            Transpose(),
            nn.Conv1d(channels, 2 * inner, 1),
            nn.GLU(dim=1),
            DepthwiseConv(inner),
            nn.BatchNorm1d(inner),
            nn.SiLU(),
            nn.Conv1d(inner, channels, 1),
            Transpose(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, steps, channels) to the same shape."""
        return self.net(x)


class PreNorm(nn.Module, Generic[Fn]):
    """A layer norm before ``fn``."""

    def __init__(self, channels: int, fn: Fn) -> None:
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, steps, channels) to the same shape."""
        return self.fn(self.norm(x))


class Half(nn.Module, Generic[Fn]):
    """Half the output of ``fn``: the half-step of the Macaron feed-forward layers."""

    def __init__(self, fn: Fn) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """(batch, steps, channels) to the same shape."""
        return 0.5 * self.fn(x)


class ConformerBlock(nn.Module):
    """Four residual layers and a layer norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ff1 = Half(PreNorm(channels, FeedForward(channels)))
        self.attn = PreNorm(channels, RelativeAttention(channels))
        self.conv = Convolution(channels)
        self.ff2 = Half(PreNorm(channels, FeedForward(channels)))
        self.post_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, steps, channels) to the same shape."""
        for layer in (self.ff1, self.attn, self.conv, self.ff2):
            x = x + layer(x)
        return self.post_norm(x)
