"""The encoders of the paper and of the release: sizes, norms over real frames, deltas."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchaudio
from near import assert_near
from ragged import LENGTHS, inputs

from trnet.model.encoders.convolutional import PlainEncoder, ResidualEncoder, add_deltas
from trnet.model.frames import ValidFrames


def last_maps(encoder, x: torch.Tensor, lengths: torch.Tensor) -> tuple:
    """What the last block gives for features (B, T, F), maps and their real frames, and what the encoder does."""
    kept = []
    with encoder.tapped[-1].register_forward_hook(lambda *args: kept.append(args[-1])):
        y = encoder(x, ValidFrames(lengths, x.shape[1]))
    return kept[0], y


def test_the_maps_of_the_paper_encoder():
    encoder = ResidualEncoder(80).eval()
    (maps, frames), y = last_maps(encoder, torch.randn(2, 500, 80), torch.tensor([500, 100]))
    assert maps.shape == (2, 256, 32, 5) and y.shape == (2, 32, 256) and encoder.out_dim == 256
    assert frames.lengths.tolist() == [32, 7]  # 100, 50, 25, 13, 7
    assert encoder.lengths(torch.tensor([500, 100])).tolist() == [32, 7]
    assert_near(y, maps.mean(3).transpose(1, 2))


@pytest.mark.parametrize(("kind", "bins"), [(ResidualEncoder, [40, 20, 10, 5]), (PlainEncoder, [40, 20, 10, 5])])
def test_what_ctc_may_tap(kind, bins):
    encoder = kind(80, channels=[4, 6, 8, 10])
    assert [encoder.tap_dim(tap) for tap in (1, 2, 3, 4)] == [c * f for c, f in zip([4, 6, 8, 10], bins, strict=True)]
    assert len(encoder.tapped) == 4
    assert encoder.tap_lengths(2, torch.tensor([8, 9])).tolist() == ([2, 3] if kind is ResidualEncoder else [2, 2])
    assert torch.equal(encoder.tap_lengths(4, torch.tensor([99])), encoder.lengths(torch.tensor([99])))


@pytest.mark.parametrize("kind", [ResidualEncoder, PlainEncoder])
def test_more_blocks_than_frames_and_bins_can_be_halved_leave_one_of_each(kind):
    encoder = kind(4, channels=[4, 4, 4, 4, 6]).eval()
    assert encoder.tap_dim(5) == 6
    y = encoder(torch.randn(2, 9, 4), ValidFrames(torch.tensor([9, 3]), 9))
    assert y.shape[1:] == (1, 6) and bool(y.isfinite().all())


TINY_ENCODER = """
import torch
from trnet.model.encoders.convolutional import ResidualEncoder
from trnet.model.frames import ValidFrames
encoder = ResidualEncoder(40, channels=[4, 6])
for _ in range(20):
    encoder(torch.randn(4, 500, 40), ValidFrames(torch.tensor([500] * 4), 500)).sum().backward()
"""


@pytest.mark.slow
def test_an_encoder_of_few_channels_does_not_crash():
    """oneDNN writes out of bounds in a 1 x 1 convolution of stride 2 over fewer than 8 channels_last channels."""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", TINY_ENCODER], cwd=root, capture_output=True)
    assert done.returncode == 0


def test_batch_norm_sees_each_real_frame_once():
    """Statistics of the first layer are those of its real output frames, counted by hand."""
    torch.manual_seed(0)
    encoder = ResidualEncoder(16, channels=[4]).train()
    noisy, _, lengths = inputs()
    encoder(noisy, ValidFrames(lengths, noisy.shape[1]))
    block = encoder.blocks[0]
    rows = [
        torch.nn.functional.conv2d(noisy[b : b + 1, None, :n], block.conv.weight, stride=2, padding=2)[0]
        for b, n in enumerate(LENGTHS)
    ]
    values = torch.cat([r.flatten(1) for r in rows], dim=1)  # (C, all real frames and bins)
    assert values.shape[1] == 8 * sum((n + 1) // 2 for n in LENGTHS)
    assert_near(block.norm.running_mean, 0.1 * values.mean(1), of=float(values.detach().abs().max()))
    assert_near(block.norm.running_var, 0.9 + 0.1 * values.var(1))


def test_deltas_are_kaldis_of_each_utterance_alone_whatever_is_behind_it():
    noisy, _, lengths = inputs(total=40, rubbish=1e4)
    got = add_deltas(noisy, ValidFrames(lengths, 40))
    assert got.shape == (5, 3, 40, 16)
    for b, length in enumerate(LENGTHS):
        alone = noisy[b, :length].T[None]
        first = torchaudio.functional.compute_deltas(alone)
        second = torchaudio.functional.compute_deltas(first)
        for channel, expected in enumerate((alone, first, second)):
            assert_near(got[b, channel, :length], expected[0].T, of=16.0)  # differences of log-mels of this size


def test_deltas_by_hand():
    """A slope of 2 a frame has the delta 2 and no delta-delta, away from the ends."""
    x = (2 * torch.arange(20.0))[None, :, None]
    static, delta, second = add_deltas(x, ValidFrames(torch.tensor([20]), 20))[0, :, :, 0]
    assert torch.equal(static, x[0, :, 0])
    assert_near(delta[2:-2], torch.full((16,), 2.0))
    assert_near(second[4:-4], torch.zeros(12), of=2.0)


MELS = torch.tensor([40, 25, 33])


def log_mels(mels: int = 12) -> tuple[torch.Tensor, ValidFrames]:
    x = torch.randn(3, 40, mels, generator=torch.Generator().manual_seed(0)) * 2 + 11
    return x, ValidFrames(MELS, 40)


@pytest.mark.parametrize(
    ("how", "blind_to_level", "blind_to_scale"), [("none", 0, 0), ("mean", 1, 0), ("mean_std", 1, 1)]
)
def test_what_the_encoder_hears_of_level_colour_and_range(how, blind_to_level, blind_to_scale):
    torch.manual_seed(1)
    encoder = ResidualEncoder(12, channels=[8, 8], kernel=3, normalise=how).eval()
    x, frames = log_mels()
    colour = torch.linspace(-2, 3, 12)

    def same(other: torch.Tensor) -> bool:
        return torch.allclose(encoder(x, frames), encoder(other, frames), atol=1e-3)

    assert same(x + colour) == bool(blind_to_level)
    assert same(x * 1.3) == bool(blind_to_scale)


@pytest.mark.parametrize("how", ["mean", "mean_std"])
def test_padding_moves_nothing_of_what_is_normalised(how):
    encoder = ResidualEncoder(12, channels=[8, 8], kernel=3, normalise=how).eval()
    x, frames = log_mels()
    together, after = encoder(x, frames), encoder.lengths(frames.counts)
    for b, length in enumerate(MELS):
        alone = encoder(x[b : b + 1, :length], ValidFrames(MELS[b : b + 1], int(length)))
        assert_near(together[b, : alone.shape[1]], alone[0])
        assert int(after[b]) == alone.shape[1]
