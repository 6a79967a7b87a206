"""SpecAugment, an option that the paper does not have."""

import torch
from torch import Tensor, nn

from trnet.model.frames import ValidFrames


class SpecAugment(nn.Module):
    """Hides stretches of frames and bands of bins in training (Park et al. 2019): each bin's mean stands there."""

    def __init__(self, time_masks: int, time_width: int, mel_masks: int, mel_width: int) -> None:
        super().__init__()
        self.axes = [(2, time_width)] * time_masks + [(3, mel_width)] * mel_masks  # of (B, 1, T, F)

    def forward(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """x (B, T, F) -> the same shape; each utterance has its own masks."""
        if not self.training or not self.axes:
            return x
        from torchaudio.functional import mask_along_axis_iid  # here, because inference does without torchaudio

        seen = torch.ones_like(x)[:, None]
        for axis, width in self.axes:
            seen = mask_along_axis_iid(seen, width, 0.0, axis)
        mask = frames.mask[..., None].to(x.dtype)
        mean = (x * mask).sum(1, keepdim=True) / frames.lengths.to(x.dtype)[:, None, None]
        return torch.where(seen[:, 0] > 0, x, mean)
