"""Options beyond the paper: input normalisation, SpecAugment, a gate for each band."""

import pytest
import torch
from near import assert_near
from trnet.model.encoder import ConvEncoder, normalised

from trnet.config import Encoder, Gate, made_of
from trnet.model.frames import ValidFrames
from trnet.model.snr_gate import SNRGate
from trnet.model.spec_augment import SpecAugment

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


@pytest.mark.parametrize(
    ("how", "blind_to_level", "blind_to_scale"), [("none", 0, 0), ("mean", 1, 0), ("mean_std", 1, 1)]
)
def test_what_the_encoder_hears_of_level_colour_and_range(how, blind_to_level, blind_to_scale):
    torch.manual_seed(1)
    encoder = ConvEncoder(12, Encoder(channels=[8, 8], kernel=3, normalise=how)).eval()
    x, frames = log_mels()
    colour = torch.linspace(-2, 3, 12)

    def same(other: torch.Tensor) -> bool:
        return torch.allclose(encoder(x, frames)[0], encoder(other, frames)[0], atol=1e-3)

    assert same(x + colour) == bool(blind_to_level)
    assert same(x * 1.3) == bool(blind_to_scale)


@pytest.mark.parametrize("how", ["mean", "mean_std"])
def test_padding_moves_nothing_of_what_is_normalised(how):
    encoder = ConvEncoder(12, Encoder(channels=[8, 8], kernel=3, normalise=how)).eval()
    x, frames = log_mels()
    together, after = encoder(x, frames)
    for b, length in enumerate(LENGTHS):
        alone, _ = encoder(x[b : b + 1, :length], ValidFrames(LENGTHS[b : b + 1], int(length)))
        assert_near(together[b, :, : alone.shape[2]], alone[0])
        assert int(after.lengths[b]) == alone.shape[2]


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


def test_a_gate_for_each_band_mixes_each_bin_by_its_own_c():
    x, frames = log_mels()
    x_e = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) - 2
    gate = SNRGate(12, Gate(resolution="band"))
    with torch.no_grad():  # bin f hears nothing but a bias of f / 12
        gate.fc.weight.zero_()
        gate.fc.bias.copy_(torch.arange(12) / 12)
    c, mixed = gate(x, x_e, frames)
    weight = torch.arange(12) / 12
    assert_near(c, weight.mean().expand(3))
    assert_near(mixed, weight * x + (1 - weight) * x_e)


def test_both_gates_start_alike():
    x, frames = log_mels()
    x_e = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) - 2
    (one, mixed), (many, by_band) = (SNRGate(12, Gate(resolution=r))(x, x_e, frames) for r in ("utterance", "band"))
    assert_near(many, one, of=1.0)
    assert_near(by_band, mixed)


def test_what_was_added_later_is_part_of_a_run_only_where_it_is_used():
    assert "normalise" not in made_of(Encoder()) and "kernel" in made_of(Encoder())
    assert made_of(Encoder(normalise="mean"))["normalise"] == "mean"
    assert "resolution" not in made_of(Gate())
