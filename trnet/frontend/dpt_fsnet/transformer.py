"""The dual-path part: an improved transformer along time (sub-band), then along frequency (full-band), and so on."""

from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Multi-head self-attention; memory grows with the length, not with its square, where torch has such a kernel."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)
        nn.init.xavier_uniform_(self.inputs.weight)
        nn.init.zeros_(self.inputs.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(sequences, steps, size) to the same shape."""
        parts = self.inputs(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, sequences, heads, ...)
        values = functional.scaled_dot_product_attention(*parts)  # (sequences, heads, steps, size / heads)
        return self.output(values.transpose(1, 2).flatten(2))


class ImprovedTransformer(nn.Module):
    """Attention and a feed-forward part whose first layer is a bidirectional GRU, both residual with a layer norm.

    The GRU makes a positional encoding unnecessary: Chen, Mao, Liu, "Dual-Path Transformer Network", Interspeech 2020,
    Equations 5 and 6.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(size, heads)
        self.norm1 = nn.LayerNorm(size)
        self.gru = nn.GRU(size, 2 * size, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(4 * size, size)
        self.norm2 = nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        """(sequences, steps, size) to the same shape."""
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.linear(self.gru(x)[0].relu()))


class DualPathBlock(nn.Module):
    """A transformer along time for each frequency, then one along frequency for each frame.

    Both are residual, with a norm over the whole clip.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.sub_band = ImprovedTransformer(size, heads)
        self.sub_band_norm = nn.GroupNorm(1, size, eps=1e-8)
        self.full_band = ImprovedTransformer(size, heads)
        self.full_band_norm = nn.GroupNorm(1, size, eps=1e-8)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, size, frames, bins) to the same shape."""
        batch = x.shape[0]
        y = self.sub_band(x.permute(0, 3, 2, 1).flatten(0, 1))  # (batch * bins, frames, size)
        x = x + self.sub_band_norm(y.unflatten(0, (batch, -1)).permute(0, 3, 2, 1))
        y = self.full_band(x.permute(0, 2, 3, 1).flatten(0, 1))  # (batch * frames, bins, size)
        return x + self.full_band_norm(y.unflatten(0, (batch, -1)).permute(0, 3, 1, 2))


class DualPathBlocks(nn.Module):
    """Half the channels, the blocks, and the channels back."""

    def __init__(self, channels: int, blocks: int, heads: int) -> None:
        super().__init__()
        size = channels // 2
        self.enter = nn.Sequential(nn.Conv2d(channels, size, 1), nn.PReLU())
        self.blocks = nn.Sequential(*(DualPathBlock(size, heads) for _ in range(blocks)))
        self.leave = nn.Sequential(nn.PReLU(), nn.Conv2d(size, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, frames, bins) to the same shape."""
        return self.leave(self.blocks(self.enter(x)))
