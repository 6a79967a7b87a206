"""Scaling of features by statistics of the training speakers, so that one weight of a loss serves all features."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from trnet.model.batch import Batch
from trnet.model.frames import ValidFrames

SMALLEST = 1e-5  # standard deviation of a dimension that does not change


class FeatureScale(nn.Module):
    """Each dimension of the features less its mean over training frames, over its standard deviation there.

    The statistics are buffers: they travel with the weights. What is scaled are all features of a batch, X_s of Eq. 5
    among them; log-mels that the gate reads beside them are not.
    """

    mean: Tensor  # (dim,)
    std: Tensor  # (dim,)

    def __init__(self, dim: int) -> None:
        """Begin as the identity."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def set(self, mean: Tensor, std: Tensor) -> None:
        """Take the statistics (dim,) of training frames."""
        assert mean.shape == std.shape == self.mean.shape, (mean.shape, std.shape, self.mean.shape)
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(SMALLEST))

    def forward(self, batch: Batch) -> Batch:
        """The batch with scaled features (B, T, dim), zeros behind each end as before."""
        rate, padding = 1 / self.std, ~batch.frames.mask[..., None]  # (dim,), (B, T, 1)

        def scaled(x: Tensor | None) -> Tensor | None:
            return None if x is None else self._scaled(x, rate, padding)

        return replace(batch, noisy=scaled(batch.noisy), enhanced=scaled(batch.enhanced), clean=scaled(batch.clean))

    def scaled(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """The same of features x (B, T, dim) that are none of a batch's."""
        return self._scaled(x, 1 / self.std, ~frames.mask[..., None])

    def _scaled(self, x: Tensor, rate: Tensor, padding: Tensor) -> Tensor:
        return (x - self.mean).mul_(rate).masked_fill_(padding, 0)


def scaled_batch(system: nn.Module, batch: Batch) -> Batch:
    """The batch with the features as a system of `trnet.model.systems.make_system` reads them."""
    scale = getattr(system, "feature_scale", None)
    return batch if scale is None else scale(batch)
