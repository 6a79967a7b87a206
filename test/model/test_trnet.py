"""Encoders, pooling, bridge and the whole networks: the paper's sizes, and padding that moves nothing."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchaudio
from near import assert_near
from torch.utils.flop_counter import FlopCounterMode
from trnet.model.encoder import ConvEncoder, add_deltas

from trnet.config import Classifier, Encoder, Gate, Pooling, as_dict
from trnet.model import build_model
from trnet.model.bridge import Bridge
from trnet.model.frames import ValidFrames
from trnet.model.pooling import AttentionPooling
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
SMALL = {"encoder": {"channels": [8, 12, 16]}, "pooling": {"attention": 5}, "num_mels": 16, "num_classes": 3}
SMALL_PLAIN = SMALL | {
    "encoder": {"type": "plain", "channels": [8, 12, 16], "deltas": True, "input_norm": True},
    "pooling": {"values": 5, "attention": 0, "clamp": 1.0},
    "classifier": {"hidden": 7},
}
LENGTHS = (23, 8, 1, 16, 31)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def trnet(conf: dict = SMALL) -> torch.nn.Module:
    torch.manual_seed(0)
    model = build_model({"model": "trnet", "model_conf": conf | {"gate": {"init": "random"}}})
    for module in model.modules():  # statistics and a bridge that are not those of the start
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.bias, std=0.5)
    for fc in (model.bridge.fc1, model.bridge.fc2):
        torch.nn.init.normal_(fc.weight)
    return model


def inputs(total: int = max(LENGTHS), rubbish: float = 0.0, mels: int = 16) -> tuple[torch.Tensor, ...]:
    """Noisy and enhanced (B, total, mels) with `rubbish` behind the ends, and the lengths."""
    generator = torch.Generator().manual_seed(3)
    x = torch.full((2, len(LENGTHS), total, mels), rubbish)
    for b, length in enumerate(LENGTHS):
        x[:, b, :length] = torch.randn(2, length, mels, generator=generator) * 2 + 8
    return x[0], x[1], torch.tensor(LENGTHS)


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


def test_the_maps_of_the_paper_encoder():
    maps, frames = ConvEncoder(80, Encoder())(torch.randn(2, 500, 80), ValidFrames(torch.tensor([500, 100]), 500))
    assert maps.shape == (2, 256, 32, 5)
    assert frames.lengths.tolist() == [32, 7]  # 100, 50, 25, 13, 7


def test_the_release_encoder():
    """Four halvings by max-pool: 498 frames become 31, 80 bins 5; three input channels; h has 256 numbers."""
    model = build_model({"model": "ser", "model_conf": RELEASE}).eval()
    frames = ValidFrames(torch.tensor([498, 498]), 498)
    with torch.inference_mode():
        maps, frames = model.encoder(torch.randn(2, 498, 80), frames)
        assert model.represent(torch.randn(2, 498, 80), ValidFrames(frames.lengths, 498)).shape == (2, 256)
    assert maps.shape == (2, 512, 31, 5) and frames.lengths.tolist() == [31, 31]
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(3, 64), (64, 128), (128, 256), (256, 512)]
    assert all(m.kernel_size == (5, 5) and m.stride == (1, 1) and m.bias is None for m in convolutions)
    encoder = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 2 * (64 + 128 + 256 + 512) + 2 * 80
    pooling = 512 * 256 + 256 + 256 + 1
    head = 256 * 128 + 128 + 2 * 128 + 128 * 4 + 4
    assert parameters(model) == encoder + pooling + head
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [0.2] * 4 + [0.3]


@pytest.mark.parametrize("conf", [SMALL, SMALL_PLAIN], ids=["residual", "plain"])
def test_padding_moves_no_output_in_evaluation(conf):
    """Each utterance alone, in a batch, and in a batch that is padded further, with rubbish behind the end."""
    model = trnet(conf).eval()
    with torch.inference_mode():
        outs = [model(*inputs(total, rubbish)) for total, rubbish in ((31, 0.0), (47, 0.0), (40, 1e3))]
        noisy, enhanced, lengths = inputs()
        for b, length in enumerate(LENGTHS):
            alone = model(noisy[b : b + 1, :length], enhanced[b : b + 1, :length], lengths[b : b + 1])
            for out in outs:
                assert_near(out.c[b], alone.c[0], of=1.0)
                assert_near(out.compensated[b, :length], alone.compensated[0])
                assert_near(out.h[b], alone.h[0])
                assert_near(out.logits[b], alone.logits[0])


@pytest.mark.parametrize("conf", [SMALL, SMALL_PLAIN], ids=["residual", "plain"])
def test_padding_moves_no_statistic_and_no_gradient_in_training(conf):
    results = []
    for total, rubbish in ((31, 0.0), (50, 0.0), (50, 100.0)):
        model = trnet(conf).train()
        out = model(*inputs(total, rubbish))
        (out.logits.square().sum() + out.c.sum()).backward()
        results.append((out, dict(model.named_buffers()), {n: p.grad for n, p in model.named_parameters()}))
    first_out, first_buffers, first_grads = results[0]
    assert any("running_mean" in name for name in first_buffers)
    # a bias before a norm or a softmax has the gradient 0, what is left is of the size of what cancelled
    largest = max(float(grad.abs().max()) for grad in first_grads.values())
    for out, buffers, grads in results[1:]:
        assert_near(out.logits, first_out.logits)
        for name, value in buffers.items():
            assert_near(value, first_buffers[name], what=name)
        for name, grad in grads.items():
            assert_near(grad, first_grads[name], of=largest, what=name)


TINY_ENCODER = """
import torch
from trnet.config import Encoder
from trnet.model.encoder import ConvEncoder
from trnet.model.frames import ValidFrames
encoder = ConvEncoder(40, Encoder(channels=[4, 6]))
for _ in range(20):
    encoder(torch.randn(4, 500, 40), ValidFrames(torch.tensor([500] * 4), 500))[0].sum().backward()
"""


@pytest.mark.slow
def test_an_encoder_of_few_channels_does_not_crash():
    """oneDNN writes out of bounds in a 1 x 1 convolution of stride 2 over fewer than 8 channels_last channels."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", TINY_ENCODER], cwd=root, capture_output=True)
    assert done.returncode == 0


def test_batch_norm_sees_each_real_frame_once():
    """Statistics of the first layer are those of its real output frames, counted by hand."""
    torch.manual_seed(0)
    encoder = ConvEncoder(16, Encoder(channels=[4])).train()
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


def test_attention_pooling_is_a_weighted_mean_over_real_frames():
    torch.manual_seed(0)
    pooling = AttentionPooling(6, Pooling(attention=0))
    maps = torch.randn(2, 6, 5, 3)
    h = pooling(maps, ValidFrames(torch.tensor([5, 2]), 5))
    for b, length in enumerate((5, 2)):
        y = maps[b].mean(2).T[:length]  # (T, C): mean over frequency
        scores = [(y[t] @ pooling.score[0].weight[0] + pooling.score[0].bias).item() for t in range(length)]
        weights = [math.exp(s) / sum(map(math.exp, scores)) for s in scores]
        assert_near(h[b], sum(w * y[t] for t, w in enumerate(weights)))


def test_pooling_clamps_its_logits():
    pooling = AttentionPooling(1, Pooling(attention=0, clamp=10.0))
    with torch.no_grad():
        pooling.score[0].weight.fill_(1)
        pooling.score[0].bias.zero_()
    maps = torch.tensor([[[[100.0], [10.0]]]])  # logits 100 and 10: with the clamp both count the same
    assert pooling(maps, ValidFrames(torch.tensor([2]), 2)).item() == pytest.approx(55)


def test_equation_6_by_hand_and_the_identity_at_the_start():
    bridge = Bridge(2)
    h, c = torch.tensor([[1.0, -2.0], [3.0, 4.0]]), torch.tensor([0.0, 0.5])
    assert torch.equal(bridge(h, c), h)
    with torch.no_grad():
        bridge.fc1.weight.copy_(torch.tensor([[2.0], [0.0]]))
        bridge.fc1.bias.copy_(torch.tensor([1.0, -1.0]))
        bridge.fc2.weight.copy_(torch.tensor([[4.0], [10.0]]))
        bridge.fc2.bias.copy_(torch.tensor([0.5, 0.0]))
    # c = 0: [1 * 1 + 0.5, -1 * -2 + 0]; c = 0.5: [(2 * 0.5 + 1) * 3 + 4 * 0.5 + 0.5, -1 * 4 + 10 * 0.5]
    assert bridge(h, c).tolist() == [[1.5, 2.0], [8.5, 1.0]]


def test_trnet_returns_the_calibrated_h_that_its_classifier_hears():
    model = trnet().eval()
    noisy, enhanced, lengths = inputs()
    out = model(noisy, enhanced, lengths)
    assert out._fields == ("logits", "c", "compensated", "h")
    assert out.logits.shape == (5, 3) and out.c.shape == (5,) and out.h.shape == (5, 16)
    assert out.compensated.shape == noisy.shape
    h = model.ser.represent(out.compensated, ValidFrames(lengths, noisy.shape[1]))
    assert_near(out.h, model.bridge(h, out.c))
    assert_near(out.logits, model.ser.classifier(out.h))
    assert not torch.allclose(out.h, h, atol=1e-2)


def test_the_gate_of_a_whole_network_is_float32_under_autocast():
    model = trnet().eval()
    plain = model(*inputs())
    with torch.autocast("cpu", torch.bfloat16):
        out = model(*inputs())
    assert out.c.dtype == out.compensated.dtype == torch.float32
    assert torch.equal(out.c, plain.c) and torch.equal(out.compensated, plain.compensated)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "trnett", "model_conf": PAPER}, "model 'trnett': no such model; did you mean 'trnet'"),
        ({"model_conf": PAPER}, "model 'None': no such model"),
        ({"model": "ser", "model_conf": PAPER | {"encodr": {}}}, "unknown key 'encodr'; did you mean 'encoder'"),
        ({"model": "ser", "model_conf": PAPER | {"encoder": {"kernal": 3}}}, "'encoder.kernal'; did you mean 'kernel'"),
        ({"model": "ser", "model_conf": {"num_mels": 80}}, "key 'num_classes' is missing"),
        (
            {"model": "ser", "model_conf": PAPER | {"encoder": {"kernel": "five"}}},
            "encoder.kernel: 'five' is no whole number",
        ),
        ({"model": "trnet", "model_conf": PAPER | {"gate": {"init": "zero"}}}, "gate.init: 'zero' is not one of"),
    ],
)
def test_what_is_wrong_in_a_model_config_is_said(config, message):
    with pytest.raises(TrnetError, match=message):
        build_model(config)


def test_a_model_is_built_from_plain_values_as_they_are_saved():
    conf = PAPER | {"encoder": as_dict(Encoder(channels=[2])), "pooling": as_dict(Pooling())}
    conf |= {"classifier": as_dict(Classifier()), "gate": as_dict(Gate()), "bridge": True}
    assert build_model({"model": "trnet", "model_conf": conf}).ser.pooling.out_dim == 2


def test_wrong_shapes_are_refused_at_entry():
    model = trnet().eval()
    noisy, enhanced, lengths = inputs()
    with pytest.raises(AssertionError):
        model(noisy, enhanced[:, :-1], lengths)
    with pytest.raises(AssertionError):
        model(noisy, enhanced, lengths[:-1])
