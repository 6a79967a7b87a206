"""Which frames of a padded batch are real, so that padding moves nothing: not c, not a score, not a BatchNorm.

How many there are is known on the host, so that no shape has to be asked from a GPU, which would have to stop for it.
"""

from functools import cached_property

import torch
from torch import Tensor

from trnet.utils.device import send


class ValidFrames:
    """The real frames of a batch padded to a common length.

    Attributes:
        counts: (B,) frames of each item, on the host.
        total: T, frames of the padded batch.
        device: where the batch is.
    """

    def __init__(self, counts: Tensor, total: int, device: torch.device | None = None) -> None:
        """Frames of a batch on `device` (None: on the host); `counts` on a GPU cost a wait for it."""
        assert counts.ndim == 1, counts.shape
        self.counts, self.total, self.device = counts.cpu(), total, device or torch.device("cpu")

    @cached_property
    def lengths(self) -> Tensor:
        """(B,) frames of each item, on the batch's device."""
        return send(self.counts, self.device)

    @cached_property
    def mask(self) -> Tensor:
        """(B, T) bool, True on real frames."""
        return torch.arange(self.total, device=self.device)[None, :] < self.lengths[:, None]

    @cached_property
    def index(self) -> Tensor:
        """(N,) positions of the real frames in the flattened (B * T) frames."""
        real = torch.arange(self.total)[None, :] < self.counts[:, None]
        return send(real.flatten().nonzero().squeeze(1), self.device)

    def resized(self, counts: Tensor, total: int) -> "ValidFrames":
        """The real frames after a strided layer."""
        return ValidFrames(counts, total, self.device)

    def zero(self, x: Tensor) -> Tensor:
        """x (B, C, T, F) with padding frames set to zero."""
        return x * self.mask[:, None, :, None].to(x.dtype)

    def pack(self, x: Tensor) -> Tensor:
        """The real frames of x (B, C, T, F) as rows: (N * F, C)."""
        batch, channels, total, bins = x.shape
        assert (batch, total) == (len(self.counts), self.total), (x.shape, self.counts.shape, self.total)
        rows = x.permute(0, 2, 3, 1).reshape(batch * total, bins * channels)
        if len(self.index) < len(rows):
            rows = rows.index_select(0, self.index)
        return rows.reshape(-1, channels)

    def unpack(self, rows: Tensor, bins: int) -> Tensor:
        """Rows (N * F, C) back as (B, C, T, F) in channels_last memory, padding frames zero."""
        channels = rows.shape[1]
        rows = rows.reshape(-1, bins * channels)
        batch, total = len(self.counts), self.total
        if len(rows) < batch * total:
            rows = rows.new_zeros(batch * total, bins * channels).index_copy(0, self.index, rows)
        return rows.reshape(batch, total, bins, channels).permute(0, 3, 1, 2)
