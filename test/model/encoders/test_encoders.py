"""What all encoders keep, somebody's own too: shapes, padding moves nothing, the gradient reaches every weight."""

import pytest
import torch
from near import assert_near

from trnet.config import ModelConfig, build
from trnet.model.encoders import encoded_frames, make_encoder
from trnet.model.frames import ValidFrames
from trnet.utils.errors import TrnetError

LENGTHS = (23, 8, 1, 16, 31)
MELS = 12
ECAPA = {"type": "ecapa_tdnn", "channels": 12, "out_channels": 10, "scale": 3, "attention": 4}
ENCODERS = {
    "residual": ({"channels": [8, 10], "kernel": 3}, 10, 4),
    "plain": ({"type": "plain", "channels": [8, 10], "deltas": True, "input_norm": True}, 10, 4),
    "light": ({"type": "light", "channels": 9, "dropout": 0.0}, 9, 1),
    "light without convolutions": ({"type": "light", "channels": 9, "layers": 0}, 9, 1),
    "ecapa_tdnn": (ECAPA, 10, 1),
    "ecapa_tdnn normalised": (ECAPA | {"normalise": "mean_std"}, 10, 1),
    "own": ({"type": "own_parts:MeanEncoder", "size": 7, "every": 3}, 7, 3),
}


def inputs(total: int, rubbish: float) -> torch.Tensor:
    """Log-mels (B, total, MELS), `rubbish` behind the ends."""
    generator = torch.Generator().manual_seed(3)
    x = torch.full((len(LENGTHS), total, MELS), rubbish)
    for row, length in zip(x, LENGTHS, strict=True):
        row[:length] = torch.randn(length, MELS, generator=generator) * 2 + 8
    return x


def encoder_of(options: dict) -> torch.nn.Module:
    torch.manual_seed(0)
    encoder = make_encoder(MELS, build(ModelConfig, {"encoder": options}).encoder)
    for module in encoder.modules():  # statistics that are not those of the start
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return encoder


@pytest.fixture(params=ENCODERS)
def case(request):
    options, dim, step = ENCODERS[request.param]
    return encoder_of(options), dim, step, options


def test_an_utterance_alone_is_as_it_is_in_a_batch_whatever_is_behind_its_end(case):
    encoder, dim, step, _ = case
    encoder.eval()
    assert encoder.out_dim == dim
    with torch.inference_mode():
        for total, rubbish in ((31, 0.0), (47, 1e3)):
            x, frames = inputs(total, rubbish), ValidFrames(torch.tensor(LENGTHS), total)
            y = encoder(x, frames)
            after = encoded_frames(encoder, frames, y)
            assert y.shape[0] == 5 and y.shape[2] == dim and y.shape[1] == after.total >= total // step
            for b, length in enumerate(LENGTHS):
                alone = encoder(x[b : b + 1, :length], ValidFrames(torch.tensor([length]), length))
                count = int(after.counts[b])
                assert count >= max(1, length // step) and alone.shape[1] >= count
                assert_near(y[b, :count], alone[0, :count])


def test_padding_moves_no_statistic_and_no_gradient_in_training(case):
    results = []
    for total, rubbish in ((31, 0.0), (50, 100.0)):
        encoder = encoder_of(case[3]).train()
        x, frames = inputs(total, rubbish).requires_grad_(), ValidFrames(torch.tensor(LENGTHS), total)
        y = encoder(x, frames)
        after = encoded_frames(encoder, frames, y)
        y[after.mask].square().sum().backward()
        assert all(not row[length:].any() for row, length in zip(x.grad, LENGTHS, strict=True))
        grads = {name: p.grad for name, p in encoder.named_parameters()}
        assert all(grad is not None and grad.isfinite().all() for grad in grads.values())
        results.append((dict(encoder.named_buffers()), grads))
    (buffers, grads), (other_buffers, other_grads) = results
    largest = max(float(grad.abs().max()) for grad in grads.values())
    still = [name for name, grad in grads.items() if float(grad.abs().max()) < 1e-7 * largest]
    assert not [name for name in still if "weight" in name]  # a bias before a norm has the gradient zero
    for name, grad in grads.items():
        assert_near(other_grads[name], grad, of=largest, what=name)
    for name, value in buffers.items():
        assert_near(other_buffers[name], value, what=name)


def test_ecapa_tdnn_has_its_number_of_parameters():
    """Desplanques et al., Table 1: 512 channels; here for 80 log-mels and the frame-level layers alone."""
    c, out, scale, bottleneck = 512, 1536, 8, 128
    width = c // scale
    norm = 2
    first = 80 * c * 5 + c + norm * c
    block = 2 * (c * c + c + norm * c) + (scale - 1) * (3 * width * width + width + norm * width)
    block += c * bottleneck + bottleneck + bottleneck * c + c
    join = 3 * c * out + out
    encoder = make_encoder(80, build(ModelConfig, {"encoder": "ecapa_tdnn"}).encoder)
    assert sum(p.numel() for p in encoder.parameters()) == first + 3 * block + join


def test_a_light_encoder_is_a_projection_and_convolutions_that_keep_what_was_there():
    encoder = encoder_of({"type": "light", "channels": 9, "layers": 1, "kernel": 3}).eval()
    x, frames = inputs(31, 0.0), ValidFrames(torch.tensor(LENGTHS), 31)
    y = encoder.project(encoder.norm(x)) * frames.mask[..., None]
    change = torch.relu(encoder.norms[0](encoder.convs[0](y.transpose(1, 2)).transpose(1, 2)))
    assert_near(encoder(x, frames), (y + change) * frames.mask[..., None])


@pytest.mark.parametrize("name", ["Raises", "NoModule"])
def test_a_class_that_makes_no_encoder_is_named_in_one_line(name):
    with pytest.raises(TrnetError, match=f"own_parts:{name}: ") as caught:
        encoder_of({"type": f"own_parts:{name}"})
    assert "\n" not in str(caught.value)
