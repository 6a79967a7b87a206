"""Eq. 1 to 4: the SNR-aware module against a loop that is written down from the paper."""

import math

import pytest
import torch
from near import EPS, ROUNDINGS, assert_near

from trnet.config import GateConf
from trnet.model.frames import ValidFrames
from trnet.model.snr_gate import ReturningHardtanh, SNRGate, cosine_similarity, local_similarity

OF_ONE = ROUNDINGS * EPS
"""How far a similarity or c, both of size 1, may be off: see near.py."""


def batch(lengths=(7, 4, 9), mels=5, seed=0, shift=10.0) -> tuple[torch.Tensor, torch.Tensor, ValidFrames]:
    """Log-mels of noisy and enhanced speech (B, T, F), all around `shift`; behind the end is rubbish."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(lengths), max(lengths), mels, generator=generator) * 3 + shift
    x_e = x + torch.randn(x.shape, generator=generator) - 2
    return x, x_e, ValidFrames(torch.tensor(lengths), max(lengths))


def naive_d(x: torch.Tensor, x_e: torch.Tensor, length: int, centred: bool) -> list[float]:
    """Eq. 1 for one utterance (T, F): the cosine of the columns, number by number."""
    frames, mels = range(length), range(x.shape[1])
    mean = 0.0
    if centred:  # the level of X, for both
        mean = sum(x[t, f].item() for t in frames for f in mels) / (length * len(mels))
    d = []
    for f in mels:
        dot = sum((x[t, f].item() - mean) * (x_e[t, f].item() - mean) for t in frames)
        norm = math.sqrt(sum((x[t, f].item() - mean) ** 2 for t in frames))
        norm_e = math.sqrt(sum((x_e[t, f].item() - mean) ** 2 for t in frames))
        d.append(dot / (norm * norm_e))
    return d


@pytest.mark.parametrize("centred", [False, True])
def test_equation_1_is_the_cosine_of_each_mel_bin_over_time(centred):
    x, x_e, frames = batch()
    d = cosine_similarity(x, x_e, frames, centred)
    assert d.shape == (3, 5)
    for b, length in enumerate((7, 4, 9)):
        assert d[b].tolist() == pytest.approx(naive_d(x[b], x_e[b], length, centred), abs=OF_ONE)


def test_equation_1_by_hand():
    """One bin over two frames: (3, 4) and (4, 3) have the cosine 24 / 25; equal ones 1, opposite ones -1."""
    x = torch.tensor([[[3.0, 1.0, 2.0], [4.0, 1.0, -2.0]]])
    x_e = torch.tensor([[[4.0, 2.0, -1.0], [3.0, 2.0, 1.0]]])
    d = cosine_similarity(x, x_e, ValidFrames(torch.tensor([2]), 2), centred=False)
    assert d[0].tolist() == pytest.approx([24 / 25, 1, -1], abs=OF_ONE)


@pytest.mark.parametrize("features", ["raw", "centred"])
@pytest.mark.parametrize("gradient", ["hardtanh", "returning"])
def test_equations_2_to_4_from_the_similarities(features, gradient):
    x, x_e, frames = batch()
    gate = SNRGate(5, GateConf(snr_features=features, gradient=gradient, init="random"))
    with torch.no_grad():
        gate.fc.weight.copy_(torch.tensor([[0.9, -0.4, 0.3, 0.2, -0.1]]))
        gate.fc.bias.fill_(-0.2)
    c, compensated = gate(x, x_e, frames)
    for b, length in enumerate((7, 4, 9)):
        d = naive_d(x[b], x_e[b], length, features == "centred")
        c_bar = sum(w * v for w, v in zip([0.9, -0.4, 0.3, 0.2, -0.1], d, strict=True)) - 0.2
        expected = min(max(0.0, c_bar), 1.0)
        assert c[b].item() == pytest.approx(expected, abs=OF_ONE)
        mixed = expected * x[b] + (1 - expected) * x_e[b]
        assert_near(compensated[b], mixed)


@pytest.mark.parametrize(("bias", "expected"), [(-5.0, 0.0), (0.25, 0.25), (5.0, 1.0)])
@pytest.mark.parametrize("gradient", ["hardtanh", "returning"])
def test_equation_3_keeps_c_in_0_to_1_and_equation_4_mixes_by_it(bias, expected, gradient):
    x, x_e, frames = batch()
    gate = SNRGate(5, GateConf(gradient=gradient))
    with torch.no_grad():
        gate.fc.weight.zero_()
        gate.fc.bias.fill_(bias)
    c, compensated = gate(x, x_e, frames)
    assert c.tolist() == [expected] * 3
    assert_near(compensated, expected * x + (1 - expected) * x_e)
    if bias > 1:
        assert torch.equal(compensated, x)
    if bias < 0:
        assert torch.equal(compensated, x_e)


def test_c_starts_as_the_mean_of_d():
    x, x_e, frames = batch()
    c, _ = SNRGate(5, GateConf())(x, x_e, frames)
    d = [naive_d(x[b], x_e[b], length, True) for b, length in enumerate((7, 4, 9))]
    assert c.tolist() == pytest.approx([sum(row) / 5 for row in d], abs=OF_ONE)
    random = SNRGate(5, GateConf(init="random"))
    assert random.fc.weight.std() > 0


def test_c_is_1_where_the_front_end_changed_nothing():
    x, _, frames = batch()
    c, compensated = SNRGate(5, GateConf())(x, x, frames)
    assert c.tolist() == pytest.approx([1, 1, 1], abs=OF_ONE)
    assert_near(compensated, x)


def test_centring_is_what_makes_the_similarity_see_the_noise():
    """Log-mels around 15: as printed, Eq. 1 hardly moves when enhancement takes the noise away; centred, it does."""
    generator = torch.Generator().manual_seed(1)
    speech = torch.randn(1, 300, 80, generator=generator) * 3 + 15
    frames = ValidFrames(torch.tensor([300]), 300)
    noise_floor = 16 + torch.randn(1, 300, 80, generator=generator)
    noisy = torch.logaddexp(speech, noise_floor)
    moved = {centred: 1 - cosine_similarity(noisy, speech, frames, centred).mean().item() for centred in (False, True)}
    assert moved[False] < 0.05 < 0.15 < moved[True]


def test_the_level_of_the_whole_utterance_is_no_matter_when_centred():
    """A louder recording adds a constant to all log-mels."""
    x, x_e, frames = batch()
    d = cosine_similarity(x, x_e, frames, True)
    assert_near(cosine_similarity(x + 4.6, x_e + 4.6, frames, True), d, of=1.0)
    assert not torch.allclose(cosine_similarity(x + 4.6, x_e + 4.6, frames, False), d, atol=1e-2)


@pytest.mark.parametrize("features", ["raw", "centred"])
def test_padding_moves_neither_d_nor_c_nor_the_compensated_features(features):
    lengths = (7, 4, 9)
    x, x_e, frames = batch(lengths)
    gate = SNRGate(5, GateConf(snr_features=features)).eval()
    c, compensated = gate(x, x_e, frames)
    for b, length in enumerate(lengths):
        alone = ValidFrames(torch.tensor([length]), length)
        parts = x[b : b + 1, :length], x_e[b : b + 1, :length]
        c_alone, compensated_alone = gate(*parts, alone)
        assert_near(c[b], c_alone[0], of=1.0)
        assert_near(compensated[b, :length], compensated_alone[0])


def test_frames_of_silence_do_not_divide_by_zero():
    x = torch.zeros(1, 3, 2)
    frames = ValidFrames(torch.tensor([3]), 3)
    for centred in (False, True):
        assert cosine_similarity(x, x, frames, centred).tolist() == [[0, 0]]
    gate = SNRGate(2, GateConf(snr_features="raw"))
    gate(x, x + torch.arange(2.0), frames)[0].sum().backward()
    assert gate.fc.weight.grad.tolist() == [[0, 0]] and gate.fc.bias.grad.item() == 1


@pytest.mark.parametrize(
    ("c_bar", "upstream", "hardtanh", "returning"),
    [
        (0.5, 2.0, 2.0, 2.0),
        (0.5, -2.0, -2.0, -2.0),
        (-0.5, -2.0, 0.0, -2.0),  # descent raises c_bar: it comes back
        (-0.5, 2.0, 0.0, 0.0),  # descent would lower it further
        (1.5, 2.0, 0.0, 2.0),  # descent lowers c_bar: it comes back
        (1.5, -2.0, 0.0, 0.0),
    ],
)
def test_a_saturated_c_passes_only_the_gradients_that_lead_back(c_bar, upstream, hardtanh, returning):
    for function, expected in ((ReturningHardtanh.apply, returning), (lambda v: v.clamp(0, 1), hardtanh)):
        value = torch.tensor([c_bar], requires_grad=True)
        function(value).backward(torch.tensor([upstream]))
        assert value.grad.item() == expected


@pytest.mark.parametrize("bias", [-0.6, 1.6])
@pytest.mark.parametrize(("gradient", "comes_back"), [("returning", True), ("hardtanh", False)])
def test_a_gate_that_left_the_interval_comes_back_or_is_dead(gradient, comes_back, bias):
    """The target is half of X and half of X_e: c has to become 0.5."""
    x, x_e, frames = batch()
    target = (x + x_e) / 2
    gate = SNRGate(5, GateConf(gradient=gradient))
    with torch.no_grad():
        gate.fc.weight.zero_()
        gate.fc.bias.fill_(bias)
    optimizer = torch.optim.SGD(gate.parameters(), lr=0.04)
    for _ in range(150):
        optimizer.zero_grad()
        (gate(x, x_e, frames)[1] - target)[frames.mask].square().mean().backward()
        optimizer.step()
    c, _ = gate(x, x_e, frames)
    if comes_back:
        assert c.tolist() == pytest.approx([0.5] * 3, abs=0.05)
    else:
        assert gate.fc.bias.item() == pytest.approx(bias) and set(c.tolist()) == {min(max(bias, 0.0), 1.0)}


@pytest.mark.parametrize("features", ["raw", "centred"])
def test_under_bf16_autocast_all_stays_float32(features):
    """bf16 has no value between 0.992 and 0.996: the gate would be blind."""
    x, x_e, frames = batch(shift=15)
    gate = SNRGate(5, GateConf(snr_features=features))
    c, compensated = gate(x, x_e, frames)
    with torch.autocast("cpu", torch.bfloat16):
        c_16, compensated_16 = gate(x, x_e, frames)
    assert c_16.dtype == compensated_16.dtype == torch.float32
    assert torch.equal(c, c_16) and torch.equal(compensated, compensated_16)


def log_mels(mels: int = 12) -> tuple[torch.Tensor, ValidFrames]:
    x = torch.randn(3, 40, mels, generator=torch.Generator().manual_seed(0)) * 2 + 11
    return x, ValidFrames(torch.tensor([40, 25, 33]), 40)


def test_a_gate_for_each_band_mixes_each_bin_by_its_own_c():
    x, frames = log_mels()
    x_e = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) - 2
    gate = SNRGate(12, GateConf(resolution="band"))
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
    (one, mixed), (many, by_band) = (SNRGate(12, GateConf(resolution=r))(x, x_e, frames) for r in ("utterance", "band"))
    assert_near(many, one, of=1.0)
    assert_near(by_band, mixed)


def test_the_similarity_around_a_frame_is_that_of_the_frames_there():
    x, x_e, frames = batch(lengths=(7, 4))
    d = local_similarity(x, x_e, frames, centred=False, context=3)
    assert d.shape == x.shape
    for b, length in enumerate((7, 4)):
        for t in range(length):
            around = slice(max(0, t - 1), min(length, t + 2))
            cut = (x[b : b + 1, around], x_e[b : b + 1, around])
            there = ValidFrames(torch.tensor([cut[0].shape[1]]), cut[0].shape[1])
            assert d[b, t].tolist() == pytest.approx(cosine_similarity(*cut, there, False)[0].tolist(), abs=1e-5)


def test_a_gate_for_each_frame_mixes_each_frame_by_its_own_c():
    torch.manual_seed(0)
    gate = SNRGate(5, GateConf(resolution="frame", context=3))
    x, x_e, frames = batch(lengths=(7, 4))
    c, mixed = gate(x, x_e, frames)
    d = local_similarity(x, x_e, frames, True, 3)
    weights = gate.fc(d)[..., 0].clamp(0, 1)  # (B, T)
    torch.testing.assert_close(mixed, weights[..., None] * x + (1 - weights[..., None]) * x_e)
    assert c.tolist() == pytest.approx([weights[0].mean().item(), weights[1, :4].mean().item()], abs=1e-5)
    assert c.tolist() == pytest.approx(gate(x[:, :7], x_e[:, :7], frames)[0].tolist())
    alone = gate(x[1:, :4], x_e[1:, :4], ValidFrames(torch.tensor([4]), 4))
    torch.testing.assert_close(alone[1][0], mixed[1, :4])


def test_a_gate_for_each_frame_reads_log_mels_of_twice_the_rate():
    gate = SNRGate(5, GateConf(resolution="frame", context=1))
    x, x_e, frames = batch(lengths=(3, 2), mels=8)
    mels, mels_e, mel_frames = batch(lengths=(6, 4), mels=5, seed=1)
    _, mixed = gate(x, x_e, frames, (mels, mels_e, mel_frames))
    c = gate.fc(local_similarity(mels, mels_e, mel_frames, True, 1))[..., 0].clamp(0, 1)[:, [1, 3, 5]]
    for b, length in enumerate((3, 2)):
        expected = c[b, :length, None] * x[b, :length] + (1 - c[b, :length, None]) * x_e[b, :length]
        torch.testing.assert_close(mixed[b, :length], expected)


def test_a_gate_that_compares_the_features_too_starts_as_one_of_log_mels_alone():
    x, x_e, frames = batch(mels=8)
    mels = batch(mels=5, seed=1)
    both, alone = SNRGate(5, GateConf(reads="features"), dim=8), SNRGate(5, GateConf())
    torch.testing.assert_close(both(x, x_e, frames, mels)[0], alone(x, x_e, frames, mels)[0])
    with torch.no_grad():
        both.fc.weight[0, 5:] = 0.01
    d = cosine_similarity(x, x_e, frames, centred=False)  # (B, 8)
    expected = (alone.fc(cosine_similarity(*mels, True))[:, 0] + 0.01 * d.sum(1)).clamp(0, 1)
    torch.testing.assert_close(both(x, x_e, frames, mels)[0], expected)


@pytest.mark.parametrize("resolution", ["utterance", "frame"])
@pytest.mark.parametrize("fixed", [0.0, 0.5, 1.0])
def test_a_fixed_c_is_that_of_every_utterance_and_nothing_of_the_gate_is_trained(fixed, resolution):
    gate = SNRGate(5, GateConf(fixed=fixed, resolution=resolution))
    x, x_e, frames = batch()
    c, mixed = gate(x, x_e, frames)
    assert c.tolist() == [fixed] * 3 and not any(p.requires_grad for p in gate.parameters())
    torch.testing.assert_close(mixed, fixed * x + (1 - fixed) * x_e)
