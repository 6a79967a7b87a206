"""Normalisation of features over the real frames of an utterance."""

from torch import Tensor

from trnet.model.frames import ValidFrames


def normalised(x: Tensor, frames: ValidFrames, scale: bool) -> Tensor:
    """x (B, T, F) less the mean of each bin over the real frames, and if `scale` divided by its deviation."""
    mask = frames.mask[..., None].to(x.dtype)  # (B, T, 1)
    count = frames.lengths.to(x.dtype)[:, None, None]
    x = (x - (x * mask).sum(1, keepdim=True) / count) * mask
    return x / (x.square().sum(1, keepdim=True) / count + 1e-5).sqrt() if scale else x
