"""Which frames of a padded batch are real, so that padding moves nothing: not c, not a score, not a BatchNorm."""

import torch
from torch import Tensor


class ValidFrames:
    """The real frames of a batch padded to a common length.

    Attributes:
        lengths: (B,) frames of each item, on the batch's device.
        total: T, frames of the padded batch.
    """

    def __init__(self, lengths: Tensor, total: int) -> None:
        assert lengths.ndim == 1, lengths.shape
        self.lengths, self.total = lengths, total
        self._mask: Tensor | None = None
        self._index: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """(B, T) bool, True on real frames."""
        if self._mask is None:
            frames = torch.arange(self.total, device=self.lengths.device)
            self._mask = frames[None, :] < self.lengths[:, None]
        return self._mask

    @property
    def index(self) -> Tensor:
        """(N,) positions of the real frames in the flattened (B * T) frames."""
        if self._index is None:
            self._index = self.mask.flatten().nonzero().squeeze(1)
        return self._index

    def resized(self, lengths: Tensor, total: int) -> "ValidFrames":
        """The real frames after a strided layer."""
        return ValidFrames(lengths, total)

    def zero(self, x: Tensor) -> Tensor:
        """x (B, C, T, F) with padding frames set to zero."""
        return x * self.mask[:, None, :, None].to(x.dtype)

    def pack(self, x: Tensor) -> Tensor:
        """The real frames of x (B, C, T, F) as rows: (N * F, C)."""
        batch, channels, total, bins = x.shape
        assert (batch, total) == (len(self.lengths), self.total), (x.shape, self.lengths.shape, self.total)
        rows = x.permute(0, 2, 3, 1).reshape(batch * total, bins * channels)
        if len(self.index) < len(rows):
            rows = rows.index_select(0, self.index)
        return rows.reshape(-1, channels)

    def unpack(self, rows: Tensor, bins: int) -> Tensor:
        """Rows (N * F, C) back as (B, C, T, F) in channels_last memory, padding frames zero."""
        channels = rows.shape[1]
        rows = rows.reshape(-1, bins * channels)
        batch, total = len(self.lengths), self.total
        if len(rows) < batch * total:
            rows = rows.new_zeros(batch * total, bins * channels).index_copy(0, self.index, rows)
        return rows.reshape(batch, total, bins, channels).permute(0, 3, 1, 2)
