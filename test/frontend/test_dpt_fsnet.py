"""DPT-FSNet: the paper's size, each part along its own axis, aligned to the sample."""

import pytest
import torch
from near import assert_near

from trnet.frontend.dpt_fsnet import DptFsnet, DptFsnetConfig
from trnet.frontend.dpt_fsnet.network import DenseBlock
from trnet.frontend.dpt_fsnet.transformer import DualPathBlock, ImprovedTransformer


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


def changed(module, x, frame, band):
    """Which frames and bins of module(x), (1, channels, frames, bins), move when one of x does."""
    with torch.no_grad():
        moved = x.clone()
        moved[:, :, frame, band] += 1
        return ((module(moved) - module(x)).abs().amax(dim=(0, 1)) > 1e-6).nonzero().T.tolist()


def test_size():
    """The paper's 0.88 M, and what of it is where."""
    network = DptFsnet()
    assert 0.875e6 <= parameters(network) <= 0.885e6
    assert parameters(network) == 879460
    assert parameters(network.encoder) == parameters(network.decoder) == 248320
    assert parameters(ImprovedTransformer(32, 4)) == 46112


def test_dense_block_hears_fifteen_frames_back():
    torch.manual_seed(0)
    block = DenseBlock(4, 16, 4)
    frames, bins = changed(block, torch.randn(1, 4, 40, 16), 20, 8)
    assert sorted(set(frames)) == list(range(20, 36))
    assert set(bins) == set(range(16))  # through the norm over the bins
    for layer in block.layers:
        layer.norm = torch.nn.Identity()
    _, bins = changed(block, torch.randn(1, 4, 40, 16), 20, 8)
    assert sorted(set(bins)) == [4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_transformers_work_along_their_own_axes():
    torch.manual_seed(0)
    block = DualPathBlock(8, 2)
    block.sub_band_norm, block.full_band_norm = torch.nn.Identity(), torch.nn.Identity()
    seen = []
    block.full_band.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = torch.randn(2, 8, 5, 7)
    moved = x.clone()
    moved[1, :, 2, 3] += 1
    with torch.no_grad():
        difference = (block(moved) - block(x)).abs().amax(dim=1)
    after_time = (seen[0] - seen[1]).abs().amax(dim=2).unflatten(0, (2, 5))  # (batch, frames, bins)
    assert sorted(set(map(tuple, (after_time > 1e-6).nonzero().tolist()))) == [(1, frame, 3) for frame in range(5)]
    assert not difference[0].any() and bool((difference[1] > 1e-6).all())


def test_transformer_is_that_of_torch_without_its_gru():
    """Attention, both sums and both norms, against torch's own layer."""
    torch.manual_seed(0)
    ours = ImprovedTransformer(16, 4)
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.attention.inputs.weight,
            "in_proj_bias": ours.attention.inputs.bias,
            "out_proj.weight": ours.attention.output.weight,
            "out_proj.bias": ours.attention.output.bias,
        }
    )
    x = torch.randn(3, 9, 16)
    with torch.no_grad():
        middle = ours.norm1(x + theirs(x, x, x, need_weights=False)[0])
        wanted = ours.norm2(middle + ours.linear(torch.relu(ours.gru(middle)[0])))
        assert_near(ours(x), wanted)


@pytest.mark.parametrize("hop", [32, 16])
@pytest.mark.parametrize("samples", [1, 2, 31, 32, 33, 320, 1601])
def test_mask_of_one_gives_the_input_back(hop, samples, monkeypatch):
    """Every sample of any length, the first and the last included; this signal has almost nothing at 0 Hz."""
    network = DptFsnet(DptFsnetConfig(n_fft=64, hop=hop, channels=8, depth=2, blocks=1, heads=2))
    monkeypatch.setattr(network, "mask", torch.ones_like)
    wav = torch.tensor([[1.0, -1.0], [0.3, -0.5]]).repeat(1, samples)[:, :samples]
    out = network(wav)
    assert out.shape == wav.shape
    assert (out - wav)[0].abs().max() < 0.03
    assert (out - wav - (out - wav).mean(dim=1, keepdim=True))[1].abs().max() < 0.05


def test_complex_mask_turns_the_phase(monkeypatch):
    network = DptFsnet(DptFsnetConfig(n_fft=64, hop=16, channels=8, depth=2, blocks=1, heads=2))
    monkeypatch.setattr(network, "mask", lambda spec: torch.full_like(spec, 1j))
    time = torch.arange(1600) / 1600
    out = network(torch.cos(2 * torch.pi * 100 * time)[None])[0]
    assert (out + torch.sin(2 * torch.pi * 100 * time))[100:-100].abs().max() < 1e-3
