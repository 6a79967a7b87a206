"""Attention with relative positions for inference, in C++, by PyTorch and fused: the numbers of the layer itself."""

import math

import pytest
import torch
from near import ROUNDINGS, assert_near
from shared import needs_compiler

from trnet.frontend.cmgan import attention
from trnet.frontend.cmgan.conformer import RelativeAttention

pytestmark = pytest.mark.usefixtures("compiled_anew")

LANES = [pytest.param(lanes, marks=needs_compiler) for lanes in (4, 8, 16)]


def relative(channels: int) -> RelativeAttention:
    """A layer; a quarter of its channels is the width of a head."""
    torch.manual_seed(0)
    return RelativeAttention(channels).requires_grad_(False)


def in_bits(q: torch.Tensor) -> torch.Tensor:
    """Queries scaled so that scores are in bits."""
    return q * q.shape[-1] ** -0.5 * math.log2(math.e)


@pytest.fixture(params=["PyTorch", *LANES])
def way(request, monkeypatch):
    """Attention as it is without a compiler, and in C++ for registers of every width."""
    monkeypatch.setenv("CXX", "" if request.param == "PyTorch" else f"c++ -DTRNET_LANES={request.param}")
    assert (attention.load(attention.SOURCE) is None) == (request.param == "PyTorch")


@pytest.mark.parametrize("loud", [1, 30])
@pytest.mark.parametrize("steps", [1, 2, 5, 6, 7, 33, 113, 600])
def test_attention_is_attention(way, steps, loud):
    """All sizes of what is left of a block; 600 steps are past the farthest position with an embedding of its own.

    A score of 100 is off by as many roundings of 1, and its exponential by as many of itself.
    """
    layer = relative(64)
    q, k, v = torch.randn(3, 3, 4, steps, 16).unbind(0)
    q *= loud
    table = attention.position_table(layer.rel_pos_emb.weight, steps)
    qkv = torch.stack([in_bits(q), k, v]).permute(1, 3, 0, 2, 4).contiguous()
    got = attention.attend(qkv, table).transpose(1, 2)
    wanted = layer.double().attend(q.double(), k.double(), v.double())
    assert_near(got, wanted, ROUNDINGS * loud)


@pytest.mark.parametrize("loud", [1, 30])
@pytest.mark.parametrize("steps", [1, 65, 600])
def test_heads_of_another_width_are_pytorchs(steps, loud):
    """Where scores would overflow as they are, too."""
    layer = relative(16)
    q, k, v = torch.randn(3, 2, 4, steps, 4).unbind(0)
    q *= loud
    assert steps == 1 or ((q @ k.transpose(2, 3)).abs().max() * 4**-0.5 > 128) == (loud > 1)
    qkv = torch.stack([in_bits(q), k, v]).permute(1, 3, 0, 2, 4).contiguous()
    got = attention.attend(qkv, attention.position_table(layer.rel_pos_emb.weight, steps)).transpose(1, 2)
    assert_near(got, layer.attend(q, k, v), ROUNDINGS * loud)


def test_what_is_not_finite_stays_so_and_where_it_is(way):
    table = attention.position_table(relative(64).rel_pos_emb.weight, 20)
    for kind in range(3):
        for value in (math.nan, math.inf):
            qkv = torch.randn(2, 20, 3, 4, 16)
            qkv[1, 4, kind, 2, 7] = value
            said = attention.attend(qkv, table)
            assert not said[1, 4, 2].isfinite().all(), (kind, value)
            assert said[0].isfinite().all() and said[1, :, [0, 1, 3]].isfinite().all()


@needs_compiler
def test_a_table_that_is_too_short_is_refused():
    table = attention.position_table(relative(64).rel_pos_emb.weight, 40)[:, :-90].contiguous()
    with pytest.raises(ValueError, match="distances is too short for 40 steps"):
        attention.attend(torch.randn(1, 40, 3, 4, 16), table)


@pytest.mark.parametrize("steps", [1, 40, 600])
def test_fused_attention_is_attention(monkeypatch, steps):
    layer = relative(16)
    q, k, v = torch.randn(3, 3, 4, steps, 4).unbind(0)
    wanted = layer.attend(q, k, v)
    for rows, scores in ((256, 2**27), (7, 1), (64, 2**18)):
        monkeypatch.setattr(attention, "FUSED_ROWS", rows)
        monkeypatch.setattr(attention, "FUSED_SCORES", scores)
        assert_near(attention.fused_attend(layer.rel_pos_emb.weight, q, k, v), wanted)
