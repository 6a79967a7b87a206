"""BatchNorm of frames that are not packed is that of the real ones; what is behind each end is zero."""

import pytest
import torch

from trnet.model.frames import StaticFrames, ValidFrames
from trnet.model.masked_batch_norm import MaskedBatchNorm, added, count_batch

COUNTS, TOTAL, BINS, CHANNELS = torch.tensor([5, 2, 7]), 9, 3, 4


@pytest.fixture
def norms():
    torch.manual_seed(0)
    made = torch.nn.ModuleList(MaskedBatchNorm(CHANNELS) for _ in range(2)).double()
    for norm in made:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
    return made


def summed(norms, kind, relu):
    """The sum of two norms as maps, and the gradients of what it was made of."""
    maps = [torch.randn(3, CHANNELS, TOTAL, BINS, dtype=torch.float64, generator=generator(n)) for n in range(2)]
    inputs = [each.requires_grad_() for each in maps]
    frames = kind(COUNTS, TOTAL)
    out = frames.maps(added(norms, [frames.rows(each) for each in inputs], frames, relu), BINS)
    weights = torch.randn(out.shape, dtype=out.dtype, generator=generator(2))
    return out, torch.autograd.grad((out * weights).sum(), [*inputs, *norms.parameters()])


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_unpacked_norms_are_those_of_packed_frames(norms, relu, training):
    norms.train(training)
    start = {key: value.clone() for key, value in norms.state_dict().items()}
    wanted, gradients = summed(norms, ValidFrames, relu)
    kept = {key: value.clone() for key, value in norms.state_dict().items()}
    norms.load_state_dict(start)
    got, found = summed(norms, StaticFrames, relu)
    count_batch(norms)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, gradients, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(dict(norms.state_dict()), kept, rtol=1e-12, atol=1e-12)
    assert bool((got.detach().transpose(1, 2)[~StaticFrames(COUNTS, TOTAL).mask] == 0).all())


def test_padding_passes_no_gradient_to_a_norm_without_relu(norms):
    frames = StaticFrames(COUNTS, TOTAL)
    rows = torch.randn(3 * TOTAL * BINS, CHANNELS, dtype=torch.float64, requires_grad=True)
    norms[0](rows, frames).sum().backward()
    assert torch.count_nonzero(rows.grad[~frames.real_rows(rows).mask.squeeze(1).bool()]) == 0


def test_a_row_far_from_the_others_moves_the_statistics_little():
    frames = StaticFrames(COUNTS, TOTAL)
    rows = torch.randn(3 * TOTAL * BINS, CHANNELS)
    rows[0] += 1000.0  # sums are taken around the first row
    norm, exact = MaskedBatchNorm(CHANNELS), MaskedBatchNorm(CHANNELS).double()
    norm(rows, frames)
    exact(rows.double(), frames)
    torch.testing.assert_close(norm.running_var.double(), exact.running_var, rtol=1e-5, atol=0)


def test_only_norms_in_training_count_batches(norms):
    norms[1].eval()
    count_batch(norms)
    assert [int(norm.num_batches_tracked) for norm in norms] == [1, 0]
