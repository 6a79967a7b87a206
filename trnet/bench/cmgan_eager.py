"""CMGAN computed as in its authors' code, for comparison only.

Not their code, but the same operations on tensors of the same shapes, in PyTorch's eager mode: an embedding for every
pair of steps, (steps, steps, width), multiplied with the queries; scores of whole sequences, (batch * heads, steps,
steps), in memory at once, in several passes; Swish and gate of several operations.
"""

import torch
from torch import Tensor, nn

from trnet.frontend.cmgan.conformer import FARTHEST, RelativeAttention
from trnet.frontend.cmgan.network import TscNet


class EagerAttention(RelativeAttention):
    """Attention as written in papers."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(batch, heads, steps, width), three times, to the same shape."""
        scale = q.shape[3] ** -0.5
        scores = torch.einsum("bhid,bhjd->bhij", q, k) * scale
        at = torch.arange(q.shape[2], device=q.device)
        distance = (at[:, None] - at[None, :]).clamp(-FARTHEST, FARTHEST) + FARTHEST
        embedding = self.rel_pos_emb(distance)  # (steps, steps, width)
        scores = scores + torch.einsum("bhid,ijd->bhij", q, embedding) * scale
        return torch.einsum("bhij,bhjd->bhid", scores.softmax(dim=-1), v)


class EagerSwish(nn.Module):
    """Swish of two operations."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x * x.sigmoid()


class EagerGate(nn.Module):
    """A gated linear unit of two operations."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 2 * channels, steps) to (batch, channels, steps)."""
        value, gate = x.chunk(2, dim=1)
        return value * gate.sigmoid()


def make_eager(network: TscNet) -> None:
    """Make a network compute like its authors', in place; the weights are unchanged."""
    for module in network.modules():
        if isinstance(module, RelativeAttention):
            module.__class__ = EagerAttention
        for name, child in module.named_children():
            if isinstance(child, nn.SiLU | nn.GLU):
                setattr(module, name, EagerSwish() if isinstance(child, nn.SiLU) else EagerGate())
