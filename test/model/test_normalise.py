"""Features normalised over the real frames of an utterance."""

import pytest
import torch
from near import assert_near

from trnet.model.frames import ValidFrames
from trnet.model.normalise import normalised

LENGTHS = torch.tensor([40, 25, 33])


def log_mels(mels: int = 12) -> tuple[torch.Tensor, ValidFrames]:
    x = torch.randn(3, 40, mels, generator=torch.Generator().manual_seed(0)) * 2 + 11
    return x, ValidFrames(LENGTHS, 40)


@pytest.mark.parametrize("scale", [False, True])
def test_normalised_bins_have_mean_0_and_deviation_1_over_the_real_frames(scale):
    x, frames = log_mels()
    y = normalised(x, frames, scale)
    for row, length in zip(y, LENGTHS, strict=True):
        real = row[:length]
        assert_near(real.mean(0), torch.zeros(12), of=11.0)  # what was taken off
        assert torch.allclose(real.std(0, correction=0), torch.ones(12), atol=1e-3) == scale
        assert (row[length:] == 0).all()
