"""SpecAugment: in training only, each utterance its own masks."""

import torch
from near import assert_near

from trnet.model.frames import ValidFrames
from trnet.model.spec_augment import SpecAugment

LENGTHS = torch.tensor([40, 25, 33])


def log_mels(mels: int = 12) -> tuple[torch.Tensor, ValidFrames]:
    x = torch.randn(3, 40, mels, generator=torch.Generator().manual_seed(0)) * 2 + 11
    return x, ValidFrames(LENGTHS, 40)


def test_spec_augment_hides_stretches_and_bands_in_training_only():
    x, frames = log_mels()
    masks = SpecAugment(time_masks=1, time_width=15, mel_masks=1, mel_width=4)
    assert masks.eval()(x, frames) is x
    masks.train()
    torch.manual_seed(3)
    y = masks(x, frames)
    torch.manual_seed(3)
    assert torch.equal(masks(x, frames), y)
    torch.manual_seed(4)
    assert not torch.equal(masks(x, frames), y)
    changed = y != x
    for row, before, hidden, length in zip(y, x, changed, LENGTHS, strict=True):
        mean = before[:length].mean(0).expand_as(row)
        assert_near(row[hidden], mean[hidden])
        assert hidden.all(1).sum() < 15 and hidden.all(0).sum() < 4  # mask_along_axis draws widths below
    assert changed.any() and not torch.equal(changed[0], changed[2])  # each its own


def test_without_masks_spec_augment_draws_nothing():
    """What is trained without it stays the same to the bit."""
    x, frames = log_mels()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert SpecAugment(0, 15, 0, 4).train()(x, frames) is x
    assert torch.equal(torch.get_rng_state(), before)
