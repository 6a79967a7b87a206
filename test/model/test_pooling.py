"""Pooling over the real frames, by hand."""

import math

import pytest
import torch
from near import assert_near

from trnet.config import ModelConfig, build
from trnet.config.model import AttentionConf, StatisticsConf
from trnet.model.frames import ValidFrames
from trnet.model.pooling import AttentionPooling, StatisticsPooling, make_pooling
from trnet.utils.errors import TrnetError


def test_attention_pooling_is_a_weighted_mean_over_real_frames():
    torch.manual_seed(0)
    pooling = AttentionPooling(6, attention=0)
    frames = torch.randn(2, 5, 6)
    h = pooling(frames, ValidFrames(torch.tensor([5, 2]), 5))
    for b, length in enumerate((5, 2)):
        y = frames[b, :length]
        scores = [(y[t] @ pooling.score[0].weight[0] + pooling.score[0].bias).item() for t in range(length)]
        weights = [math.exp(s) / sum(map(math.exp, scores)) for s in scores]
        assert_near(h[b], sum(w * y[t] for t, w in enumerate(weights)))


def test_pooling_clamps_its_logits():
    pooling = AttentionPooling(1, attention=0, clamp=10.0)
    with torch.no_grad():
        pooling.score[0].weight.fill_(1)
        pooling.score[0].bias.zero_()
    frames = torch.tensor([[[100.0], [10.0]]])  # logits 100 and 10: with the clamp both count the same
    assert pooling(frames, ValidFrames(torch.tensor([2]), 2)).item() == pytest.approx(55)


LENGTHS = (7, 1, 4)
ALL = [
    AttentionConf(attention=3),
    AttentionConf(attention=0, values=5, clamp=1.0),
    StatisticsConf(),
    StatisticsConf(attention=3),
    build(ModelConfig, {"pooling": "own_parts:MaxPooling"}).pooling,
]


def batch(rubbish: float = 0.0, total: int = max(LENGTHS)) -> tuple[torch.Tensor, ValidFrames]:
    """Frames (3, total, 6) with `rubbish` behind the ends."""
    generator = torch.Generator().manual_seed(2)
    y = torch.full((3, total, 6), rubbish)
    for row, length in zip(y, LENGTHS, strict=True):
        row[:length] = torch.randn(length, 6, generator=generator)
    return y, ValidFrames(torch.tensor(LENGTHS), total)


@pytest.mark.parametrize("options", ALL, ids=str)
def test_padding_moves_neither_h_nor_gradient(options):
    pooling = make_pooling(6, options)
    y, frames = batch()
    results = []
    for rubbish, total in ((0.0, 7), (99.0, 7), (-99.0, 12)):
        y, frames = batch(rubbish, total)
        pooling.zero_grad()
        y.requires_grad_()
        h = pooling(y, frames)
        assert h.shape == (3, pooling.out_dim) and h.dtype == torch.float32 and h.isfinite().all()
        h.square().sum().backward()
        assert all(not row[length:].any() for row, length in zip(y.grad, LENGTHS, strict=True))
        assert all(row[:length].any() for row, length in zip(y.grad, LENGTHS, strict=True))
        results.append([h, *(p.grad for p in pooling.parameters())])
    for others in results[1:]:
        for got, wanted in zip(others, results[0], strict=True):
            assert_near(got, wanted, of=max(1.0, float(wanted.abs().max())))
    y, _ = batch()
    for b, length in enumerate(LENGTHS):
        alone = pooling(y[b : b + 1, :length], ValidFrames(torch.tensor([length]), length))
        assert_near(results[0][0][b], alone[0])


def test_statistics_are_mean_and_deviation_of_the_real_frames():
    y, frames = batch(99.0)
    h = StatisticsPooling(6)(y, frames)
    for b, length in enumerate(LENGTHS):
        assert_near(h[b, :6], y[b, :length].mean(0))
        if length > 1:
            assert_near(h[b, 6:], y[b, :length].std(0, correction=0))
    assert float(h[1, 6:].detach().abs().max()) < 1e-3  # of one frame, and its gradient is finite


def test_statistics_with_attention_weigh_each_channel_on_its_own():
    """By hand: softmax over time of the scores of (frame, mean, deviation)."""
    torch.manual_seed(1)
    pooling = StatisticsPooling(6, attention=4)
    y, frames = batch(99.0)
    h = pooling(y, frames)
    for b, length in enumerate(LENGTHS):
        real = y[b, :length]
        mean, deviation = real.mean(0), (real.var(0, correction=0)).clamp_min(1e-7).sqrt()
        seen = torch.cat([real, mean.expand(length, 6), deviation.expand(length, 6)], dim=1)
        weights = torch.softmax(pooling.score(seen), dim=0)  # (T, 6)
        mean = (weights * real).sum(0)
        assert_near(h[b, :6], mean)
        variance = (weights * (real - mean).square()).sum(0)
        assert_near(h[b, 6:], variance.clamp_min(1e-7).sqrt(), roundings=1e4)  # the root of what is next to zero
    assert not torch.allclose(weights[:, 0], weights[:, 1])


@pytest.mark.parametrize("name", ["Raises", "NoModule"])
def test_a_class_that_makes_no_pooling_is_named_in_one_line(name):
    options = build(ModelConfig, {"pooling": f"own_parts:{name}"}).pooling
    with pytest.raises(TrnetError, match=f"own_parts:{name}: ") as caught:
        make_pooling(6, options)
    assert "\n" not in str(caught.value)
