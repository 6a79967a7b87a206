"""Networks from plain values: the sizes of the paper and of the authors' release; what is wrong is named."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trnet.config.model import AttentionConf, ClassifierConf, GateConf, Residual
from trnet.model import build_model
from trnet.model.frames import ValidFrames
from trnet.utils.errors import TrnetError

PAPER = {"num_mels": 80, "num_classes": 4}
RELEASE = PAPER | {
    "encoder": {
        "type": "plain",
        "channels": [64, 128, 256, 512],
        "dropout": 0.2,
        "deltas": True,
        "input_norm": True,
    },
    "pooling": {"values": 256, "attention": 0, "clamp": 10.0},
    "classifier": {"hidden": 128, "dropout": 0.3},
    "gate": {"snr_features": "raw", "gradient": "hardtanh", "init": "random"},
}


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_paper_encoder_has_its_number_of_parameters():
    conv = 25 * (1 * 32 + 32 * 64 + 64 * 128 + 128 * 256)
    shortcut = 1 * 32 + 32 * 64 + 64 * 128 + 128 * 256
    norms = 2 * 2 * (32 + 64 + 128 + 256)
    attention = (256 * 128 + 128) + (128 + 1)
    classifier = 256 * 4 + 4
    assert conv + shortcut + norms + attention + classifier == 1_155_013
    assert parameters(build_model({"model": "ser", "model_conf": PAPER})) == 1_155_013


def test_trnet_adds_a_gate_and_a_bridge():
    gate, bridge = 80 + 1, 2 * (256 + 256)
    with_bridge = build_model({"model": "trnet", "model_conf": PAPER | {"bridge": True}})
    without = build_model({"model": "trnet", "model_conf": PAPER | {"bridge": False}})
    assert parameters(with_bridge) == 1_155_013 + gate + bridge
    assert parameters(without) == 1_155_013 + gate and without.bridge is None


def test_the_paper_encoder_costs_what_it_should():
    """2 FLOPs a multiply-add; 500 frames become 250, 125, 63, 32 and 80 bins 40, 20, 10, 5."""
    outputs = [250 * 40, 125 * 20, 63 * 10, 32 * 5]
    macs = [26 * a * b * n for (a, b), n in zip([(1, 32), (32, 64), (64, 128), (128, 256)], outputs, strict=True)]
    forward = 2 * sum(macs) + 2 * 32 * (256 * 128 + 128) + 2 * 256 * 4
    backward = 2 * forward - 2 * macs[0]  # twice, but nothing goes back to the features
    model = build_model({"model": "ser", "model_conf": PAPER})
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(2, 500, 80), torch.tensor([500, 500])).logits.sum().backward()
    assert counter.get_total_flops() / 2 == pytest.approx(forward + backward, rel=0.01)
    assert counter.get_total_flops() / 2 == pytest.approx(2.46e9, rel=0.05)


def test_the_release_encoder():
    """Four halvings by max-pool: 498 frames become 31, 80 bins 5; three input channels; h has 256 numbers."""
    model = build_model({"model": "ser", "model_conf": RELEASE}).eval()
    frames = ValidFrames(torch.tensor([498, 498]), 498)
    kept = []
    model.encoder.tapped[-1].register_forward_hook(lambda *args: kept.append(args[-1]))
    with torch.inference_mode():
        assert model.represent(torch.randn(2, 498, 80), frames).shape == (2, 256)
    maps, frames = kept[0]
    assert maps.shape == (2, 512, 31, 5) and frames.lengths.tolist() == [31, 31]
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(3, 64), (64, 128), (128, 256), (256, 512)]
    assert all(m.kernel_size == (5, 5) and m.stride == (1, 1) and m.bias is None for m in convolutions)
    encoder = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 2 * (64 + 128 + 256 + 512) + 2 * 80
    pooling = 512 * 256 + 256 + 256 + 1
    head = 256 * 128 + 128 + 2 * 128 + 128 * 4 + 4
    assert parameters(model) == encoder + pooling + head
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [0.2] * 4 + [0.3]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model": "trnett", "model_conf": PAPER}, ["'trnett'", "'trnet'"]),
        ({"model_conf": PAPER}, ["model 'None'"]),
        ({"model": "ser", "model_conf": PAPER | {"encodr": {}}}, ["encodr'", "'encoder'"]),
        ({"model": "ser", "model_conf": PAPER | {"encoder": {"kernl": 3}}}, ["encoder.kernl'", "'kernel'"]),
        ({"model": "ser", "model_conf": {"num_mels": 80}}, ["num_classes"]),
        ({"model": "ser", "model_conf": PAPER | {"num_mels": 0}}, ["num_mels: 0"]),
        ({"model": "ser", "model_conf": PAPER | {"encoder": {"kernel": "five"}}}, ["encoder.kernel: 'five'"]),
        ({"model": "trnet", "model_conf": PAPER | {"gate": {"mix": "waveform"}}}, ["gate.mix"]),
        ({"model": "trnet", "model_conf": PAPER | {"gate": {"init": "zero"}}}, ["gate.init: 'zero'", "mean, random"]),
    ],
)
def test_what_is_wrong_in_a_model_config_is_one_line(config, said):
    with pytest.raises(TrnetError) as caught:
        build_model(config)
    assert "\n" not in str(caught.value)
    assert [part for part in said if part not in str(caught.value)] == [], str(caught.value)


def test_a_model_is_built_from_plain_values_as_they_are_saved():
    conf = PAPER | {"encoder": Residual(channels=[2]).plain(), "pooling": AttentionConf().plain()}
    conf |= {"classifier": ClassifierConf().plain(), "gate": GateConf().plain(), "bridge": True}
    assert build_model({"model": "trnet", "model_conf": conf}).ser.pooling.out_dim == 2
