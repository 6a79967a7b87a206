"""A batch of utterances of different lengths."""

import torch

LENGTHS = (23, 8, 1, 16, 31)


def inputs(total: int = max(LENGTHS), rubbish: float = 0.0, mels: int = 16) -> tuple[torch.Tensor, ...]:
    """Noisy and enhanced (B, total, mels) with `rubbish` behind the ends, and the lengths."""
    generator = torch.Generator().manual_seed(3)
    x = torch.full((2, len(LENGTHS), total, mels), rubbish)
    for b, length in enumerate(LENGTHS):
        x[:, b, :length] = torch.randn(2, length, mels, generator=generator) * 2 + 8
    return x[0], x[1], torch.tensor(LENGTHS)
