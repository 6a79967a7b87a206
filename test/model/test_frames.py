"""Real frames of a padded batch: packed as rows and put back, each the gradient of the other."""

import pytest
import torch

from trnet.model.frames import StaticFrames, ValidFrames

COUNTS = torch.tensor([4, 1, 3])


@pytest.fixture
def maps():
    """(B, C, T, F) float64 of three items."""
    return torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("counts", [COUNTS, torch.tensor([4, 4, 4])])
def test_rows_are_the_real_frames_and_come_back_where_they_were(maps, counts):
    frames = ValidFrames(counts, 4)
    rows = frames.pack(maps)
    wanted = [maps[item, :, frame, bin] for item in range(3) for frame in range(counts[item]) for bin in range(5)]
    assert torch.equal(rows, torch.stack(wanted))
    assert torch.equal(frames.unpack(rows, 5), frames.zero(maps))


def test_a_batch_may_be_longer_than_its_longest_item(maps):
    frames = ValidFrames(COUNTS - 1 + (COUNTS == 1).long(), 4)
    assert torch.equal(frames.unpack(frames.pack(maps), 5), frames.zero(maps))


def test_gradients_of_padding_are_zero_and_of_the_rest_their_own(maps):
    frames = ValidFrames(COUNTS, 4)
    assert torch.autograd.gradcheck(frames.pack, (maps,))
    rows = frames.pack(maps).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: frames.unpack(rows, 5), (rows,))
    frames.pack(maps).sum().backward()
    assert torch.equal(maps.grad, frames.zero(torch.ones_like(maps)))


@pytest.mark.parametrize("kind", [ValidFrames, StaticFrames])
def test_ends_are_extended_by_the_first_and_the_last_real_frame(kind):
    x = torch.arange(1.0, 9).reshape(2, 4, 1).requires_grad_()
    extended = kind(torch.tensor([4, 2]), 4).extended(x, 2)
    assert extended[..., 0].tolist() == [[1, 1, 1, 2, 3, 4, 4, 4], [5, 5, 5, 6, 6, 6, 6, 6]]
    extended.sum().backward()
    assert x.grad[..., 0].tolist() == [[3, 1, 1, 3], [3, 5, 0, 0]]
