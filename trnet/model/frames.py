"""Which frames of a padded batch are real, so that padding moves nothing: not c, not a score, not a BatchNorm.

How many there are is known on the host, so that no shape has to be asked from a GPU, which would have to stop for it.
"""

from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from trnet.model.precision import full
from trnet.utils.device import send
from trnet.utils.errors import TrnetError


class RealRows(NamedTuple):
    """Which of the rows (N, C) of a batch whose frames are not packed are real."""

    mask: Tensor  # (N, 1) float, 1 for real rows, else 0
    number: Tensor  # () float, how many are real


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

    def extended(self, x: Tensor, by: int) -> Tensor:
        """x (B, T, F) -> (B, by + T + by, F): its first frame before it, each item's last one wherever it has ended."""
        steps, last = torch.arange(self.total, device=x.device), self.lengths - 1
        held = x.gather(1, torch.minimum(steps[None, :], last[:, None])[..., None].expand_as(x))
        return functional.pad(held.transpose(1, 2), (by, by), mode="replicate").transpose(1, 2)

    def rows(self, x: Tensor) -> Tensor:
        """The frames of x (B, C, T, F) that layers over rows compute on: (N * F, C); here the real ones."""
        return self.pack(x)

    def maps(self, rows: Tensor, bins: int) -> Tensor:
        """Rows (N * F, C) of `rows` back as (B, C, T, F) in channels_last memory, padding frames zero.

        Where padding frames are among the rows (`real_rows`), they have to be zero already.
        """
        return self.unpack(rows, bins)

    def real_rows(self, rows: Tensor) -> RealRows | None:
        """Which of the rows (N * F, C) of `rows` are real; None: all of them."""
        return None

    def padded(self, rows: Tensor) -> Tensor:
        """Real frames (N, K) -> all frames (B * T, K), zeros behind each end."""
        zeros = rows.new_zeros(self.total - int(self.counts.min()), rows.shape[1])
        parts = zip(rows.split(self.counts.tolist()), self.counts.tolist(), strict=True)
        return torch.cat([each for real, count in parts for each in (real, zeros[: self.total - count])])

    def pack(self, x: Tensor) -> Tensor:
        """The real frames of x (B, C, T, F) as rows: (N * F, C)."""
        batch, channels, total, bins = x.shape
        assert (batch, total) == (len(self.counts), self.total), (x.shape, self.counts.shape, self.total)
        rows = x.permute(0, 2, 3, 1).reshape(batch * total, bins * channels)
        if len(self.index) < len(rows):
            rows = _Packed.apply(rows, self)
        return rows.reshape(-1, channels)

    def unpack(self, rows: Tensor, bins: int) -> Tensor:
        """Rows (N * F, C) back as (B, C, T, F) in channels_last memory, padding frames zero."""
        channels = rows.shape[1]
        rows = rows.reshape(-1, bins * channels)
        batch, total = len(self.counts), self.total
        if len(rows) < batch * total:
            rows = _Padded.apply(rows, self)
        return rows.reshape(batch, total, bins, channels).permute(0, 3, 1, 2)


class _Packed(torch.autograd.Function):
    """All frames (B * T, K) -> the real ones (N, K). PyTorch's own gradient, sums onto zeros, takes twice as long."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, frames: ValidFrames) -> Tensor:
        ctx.frames = frames
        return rows.index_select(0, frames.index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.frames.padded(grad), None


class _Padded(torch.autograd.Function):
    """Real frames (N, K) -> all frames (B * T, K), the others zero."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, frames: ValidFrames) -> Tensor:
        ctx.frames = frames
        return frames.padded(rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.index_select(0, ctx.frames.index), None


class StaticFrames(ValidFrames):
    """The same of a batch whose shapes do not depend on its lengths: nothing is packed, and lengths stay on the device.

    A network that sees only such batches can be compiled whole, and captured as a CUDA graph.
    """

    def __init__(self, counts: Tensor, total: int, device: torch.device | None = None) -> None:
        """`counts` (B,) on the batch's device; nothing waits for them."""
        assert counts.ndim == 1, counts.shape
        self.counts, self.total, self.device = counts, total, device or counts.device

    @property
    def lengths(self) -> Tensor:
        """(B,) frames of each item."""
        return self.counts

    @property
    def mask(self) -> Tensor:
        """(B, T) bool, True on real frames."""
        steps = torch.arange(self.total, dtype=self.counts.dtype, device=self.device)
        return steps[None, :] < self.counts[:, None]

    @property
    def index(self) -> Tensor:
        """There is none: how many frames are real is not known on the host."""
        raise TrnetError("a network that packs frames cannot be compiled; use the mask of frames")

    def resized(self, counts: Tensor, total: int) -> "ValidFrames":
        """The real frames after a strided layer."""
        return StaticFrames(counts, total, self.device)

    def extended(self, x: Tensor, by: int) -> Tensor:
        """The same without a replicating pad, which PyTorch 2.11 fails to compile for a GPU, and without a gather."""
        after = (torch.arange(self.total, device=x.device)[None, :] - self.counts[:, None])[..., None]  # (B, T, 1)
        last = (x * (after == -1)).sum(1, keepdim=True)
        held = torch.where(after >= 0, last, x)
        return torch.cat([held[:, :1]] * by + [held] + [held[:, -1:]] * by, dim=1)

    def rows(self, x: Tensor) -> Tensor:
        """All frames of x (B, C, T, F): (B * T * F, C)."""
        return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])

    def maps(self, rows: Tensor, bins: int) -> Tensor:
        """Rows (B * T * F, C), zero behind each end, back as (B, C, T, F)."""
        return rows.reshape(len(self.counts), self.total, bins, rows.shape[1]).permute(0, 3, 1, 2)

    def real_rows(self, rows: Tensor) -> RealRows:
        """Which of the rows (B * T * F, C) are real."""
        bins, kind = rows.shape[0] // (len(self.counts) * self.total), full(rows[:0]).dtype
        mask = self.mask.reshape(-1, 1, 1).expand(-1, bins, 1).reshape(-1, 1)
        return RealRows(mask.to(kind), (self.counts.sum() * bins).to(kind))
