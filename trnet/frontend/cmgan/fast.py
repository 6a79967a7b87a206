"""The CMGAN generator for inference: the results of :class:`TscNet`, several times faster, in less memory.

The network itself stays the reference. On a GPU :mod:`trnet.frontend.cmgan.gpu` does the work; where that does not run,
only the attention differs (:func:`fused_attention`). On a CPU (:func:`fast_forward`):

- Tensors are tokens-major, (frames, bands, channels), as linear layers and oneDNN's convolutions prefer.
- A conformer processes about 1,000 tokens at a time, so that the output of a layer is in the cache for the next.
- Attention runs in blocks of queries, in C++ where there is a compiler (``attention.py``). The numerator of a softmax
  is a power of two of scores in bits, half the cost of an exponential.
- Scales, halves, the batch norm and the sub-pixel convolution of the mask are folded into weights; biases before an
  instance norm, which removes them, are left out.
- Each core processes blocks of its own, so the result does not depend on their number.

Weights are folded at each call: it takes milliseconds, and they are never out of date.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend.cmgan.attention import attend, fused_attend, position_table
from trnet.frontend.cmgan.conformer import (
    HEADS,
    KERNEL,
    ConformerBlock,
    DepthwiseConv,
    FeedForward,
    Half,
    PreNorm,
    RelativeAttention,
)
from trnet.frontend.cmgan.network import DEPTH, ComplexDecoder, DilatedDense, MaskDecoder, TscNet

TOKENS = 1024  # tokens in a conformer at a time, if one sequence is not longer
CONV_TOKENS = 3072  # output tokens of a convolution at a time
MOST_CORES = 8  # threads; more would wait for Python

M = TypeVar("M", bound=nn.Module)
Each = Callable[[Callable[[int], None], Iterable[int]], None]
"""each(work, starts): call work(start) for all, in any order."""


@torch.inference_mode()
def fast_forward(network: TscNet, spec: Tensor) -> tuple[Tensor, Tensor]:
    """``network(spec)``, clip by clip, for a network on the CPU in eval mode.

    `spec` is (clips, 3, frames, bins) float32. Returns: Real and imaginary part, each (clips, frames, bins).
    """
    assert spec.device.type == "cpu" and spec.dtype == torch.float32 and not network.training
    with _cores() as each:
        fast = _Generator(network, each)
        out = torch.stack([fast(clip) for clip in spec.permute(0, 2, 3, 1)])  # (clips, 2, frames, bins)
    return out[:, 0], out[:, 1]


@contextmanager
def _cores() -> Iterator[Each]:
    """As many threads as PyTorch may use, each with operations of one thread."""
    threads = torch.get_num_threads()

    def one_by_one(work: Callable[[int], None], starts: Iterable[int]) -> None:
        for start in starts:
            work(start)

    if threads == 1:
        yield one_by_one
        return
    torch.set_num_threads(1)  # here, and in threads that begin after this
    try:
        with ThreadPoolExecutor(min(threads, MOST_CORES)) as pool:

            def each(work: Callable[[int], None], starts: Iterable[int]) -> None:
                for done in pool.map(torch.inference_mode()(work), starts):
                    assert done is None

            yield each
    finally:
        torch.set_num_threads(threads)


def of_kind(kind: type[M], module: Any) -> M:
    """A module within a sequential or generic one, with its type."""
    assert isinstance(module, kind)
    return module


def _bias(layer: nn.Conv1d | nn.Conv2d) -> Tensor:
    """The bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias.detach()


class _Generator:
    """All of the network, one clip at a time."""

    def __init__(self, network: TscNet, each: Each) -> None:
        encoder = network.dense_encoder
        self.each = each
        self.conv_1, self.norm_1 = _conv_norm_act([*encoder.conv_1], each)
        self.dense = _Dense(encoder.dilated_dense, each)
        self.conv_2, self.norm_2 = _conv_norm_act([*encoder.conv_2], each)
        blocks = (network.TSCB_1, network.TSCB_2, network.TSCB_3, network.TSCB_4)
        self.blocks = [(_Conformer(b.time_conformer), _Conformer(b.freq_conformer)) for b in blocks]
        self.mask = _Mask(network.mask_decoder, each)
        self.complex = _Complex(network.complex_decoder, each)

    def __call__(self, spec: Tensor) -> Tensor:
        """(frames, bins, 3) to (2, frames, bins)."""
        spec = spec.contiguous()
        y, statistics = self.conv_1(spec)
        self.norm_1(y, statistics, self.dense.begin(*y.shape[:2]))
        y, statistics = self.conv_2(self.dense())
        x = self.norm_2(y, statistics, torch.empty_like(y))
        for along_time, along_bands in self.blocks:
            self._conform(along_time, x.transpose(0, 1))
            self._conform(along_bands, x)
        residual = self.complex(x)
        return self.mask(x) * spec[:, :, 1:].permute(2, 0, 1) + residual

    def _conform(self, conformer: _Conformer, x: Tensor) -> None:
        """Add a conformer's output to its input: (sequences, steps, channels), in place."""
        table = position_table(conformer.embedding, x.shape[1])
        size = max(1, TOKENS // x.shape[1])

        def work(start: int) -> None:
            x[start : start + size] += conformer(x[start : start + size], table)

        self.each(work, range(0, len(x), size))


@dataclass
class _Statistics:
    """Mean and sum of squared deviations of each channel, (channels,) float64, over ``count`` values."""

    count: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Statistics:
        """Of (tokens, channels)."""
        mean = x.mean(dim=0)
        return cls(len(x), mean.double(), (x - mean).square_().sum(dim=0).double())

    def __add__(self, other: _Statistics) -> _Statistics:
        """Of both joined (Chan et al., "Updating formulae", 1979)."""
        count, apart = self.count + other.count, other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        squares = self.squares + other.squares + apart.square() * (self.count * other.count / count)
        return _Statistics(count, mean, squares)


class _Conv:
    """A convolution in blocks of frames, with the statistics of its output."""

    def __init__(self, conv: nn.Conv2d, each: Each, bias: bool = False) -> None:
        """``bias`` False: it is left out, as before an instance norm."""
        self.weight = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self.bias = _bias(conv) if bias else None
        self.conv, self.each = conv, each
        self.padding = (0, conv.kernel_size[1] // 2)  # of all convolutions here

    def __call__(self, x: Tensor, past: int = 0) -> tuple[Tensor, _Statistics]:
        """(past + frames, bands, channels) to (frames, bands, channels) and their statistics."""
        conv, frames = self.conv, len(x) - past
        bands = (x.shape[1] + 2 * self.padding[1] - conv.kernel_size[1]) // conv.stride[1] + 1
        out = x.new_empty(frames, bands, conv.out_channels)
        size = max(1, CONV_TOKENS // bands)
        parts: dict[int, _Statistics] = {}

        def work(start: int) -> None:
            block = x[start : start + size + past].contiguous().permute(2, 0, 1)[None]  # channels_last
            y = functional.conv2d(block, self.weight, self.bias, conv.stride, self.padding, conv.dilation)
            y = y[0].permute(1, 2, 0)
            parts[start] = _Statistics.of(y.reshape(-1, conv.out_channels))
            out[start : start + size] = y

        self.each(work, range(0, frames, size))
        first, *others = (parts[start] for start in sorted(parts))
        return out, sum(others, first)


class _NormAct:
    """Instance norm and PReLU."""

    def __init__(self, norm: nn.InstanceNorm2d, prelu: nn.PReLU, each: Each) -> None:
        self.weight, self.bias, self.eps = norm.weight.detach(), norm.bias.detach(), norm.eps
        self.slope, self.each = prelu.weight.detach(), each

    def __call__(self, x: Tensor, statistics: _Statistics, out: Tensor) -> Tensor:
        """(frames, bands, channels) into ``out``, of the same shape, which is returned."""
        channels = x.shape[2]
        scale = self.weight * (statistics.squares / statistics.count + self.eps).rsqrt()
        shift = (self.bias - statistics.mean * scale).float()
        scale = scale.float()
        size = max(1, CONV_TOKENS // x.shape[1])

        def work(start: int) -> None:
            y = torch.addcmul(shift, x[start : start + size].reshape(-1, channels), scale)
            out[start : start + size] = functional.prelu(y, self.slope).view(-1, *x.shape[1:])

        self.each(work, range(0, len(x), size))
        return out


def _conv_norm_act(layers: list[nn.Module], each: Each) -> tuple[_Conv, _NormAct]:
    """A convolution, its instance norm and its PReLU."""
    conv, norm, prelu = layers
    return _Conv(of_kind(nn.Conv2d, conv), each), _NormAct(
        of_kind(nn.InstanceNorm2d, norm), of_kind(nn.PReLU, prelu), each
    )


class _Dense:
    """The dilated dense block. Its maps lie side by side in one tensor, the newest first, as in the weights."""

    def __init__(self, dense: DilatedDense, each: Each) -> None:
        names = [[f"{name}{i + 1}" for name in ("conv", "norm", "prelu")] for i in range(DEPTH)]
        self.layers = [_conv_norm_act([dense.get_submodule(name) for name in layer], each) for layer in names]
        self.channels = self.layers[0][0].conv.out_channels

    def begin(self, frames: int, bands: int) -> Tensor:
        """Where the input is to be written, (frames, bands, channels)."""
        past = 2 ** (DEPTH - 1)
        self.maps = torch.empty(past + frames, bands, DEPTH * self.channels)
        self.maps[:past] = 0
        return self.maps[past:, :, (DEPTH - 1) * self.channels :]

    def __call__(self) -> Tensor:
        """The output, (frames, bands, channels)."""
        most = 2 ** (DEPTH - 1)
        for i, (conv, norm) in enumerate(self.layers):
            known = (DEPTH - 1 - i) * self.channels
            y, statistics = conv(self.maps[most - 2**i :, :, known:], past=2**i)
            last = i == DEPTH - 1
            norm(y, statistics, y if last else self.maps[most:, :, known - self.channels : known])
        del self.maps
        return y


def joined_sub_pixel(decoder: MaskDecoder) -> nn.Conv2d:
    """The sub-pixel convolution of a mask and its products with both taps of the next one: four maps.

    Channels are even bands with the first tap and the second, and odd bands. The bias of the next convolution is left
    out, as before an instance norm.
    """
    conv, last = decoder.sub_pixel.conv, decoder.conv_1
    taps = last.weight[0, :, 0].t()  # (2, channels)
    joined = nn.Conv2d(conv.in_channels, 4, (1, 3), padding=(0, 1))
    weight = torch.einsum("kc,rcifb->rkifb", taps, conv.weight.unflatten(0, (2, -1)))
    joined.weight = nn.Parameter(weight.flatten(0, 1), requires_grad=False)
    joined.bias = nn.Parameter((_bias(conv).view(2, -1) @ taps.t()).flatten(), requires_grad=False)
    return joined


class _Mask:
    """The mask decoder. Its sub-pixel convolution and the next one are both linear: one convolution to four maps."""

    def __init__(self, decoder: MaskDecoder, each: Each) -> None:
        self.dense, self.decoder = _Dense(decoder.dense_block, each), decoder
        self.conv = _Conv(joined_sub_pixel(decoder), each, bias=True)

    def __call__(self, x: Tensor) -> Tensor:
        """(frames, bands, channels) to (frames, bins)."""
        self.dense.begin(*x.shape[:2]).copy_(x)
        y, _ = self.conv(self.dense())
        y = _neighbours(y.view(len(y), -1, 2, 1))[:, :, 0]  # (frames, bins)
        decoder, final = self.decoder, self.decoder.final_conv
        y = functional.instance_norm(y[None, None], weight=decoder.norm.weight, bias=decoder.norm.bias)
        y = functional.prelu(y, decoder.prelu.weight) * final.weight + _bias(final)
        return functional.prelu(y[0, 0], decoder.prelu_out.weight)


class _Complex:
    """The complex decoder."""

    def __init__(self, decoder: ComplexDecoder, each: Each) -> None:
        self.dense = _Dense(decoder.dense_block, each)
        self.sub_pixel = _Conv(decoder.sub_pixel.conv, each, bias=True)  # even and odd bands share a norm
        self.norm = _NormAct(decoder.norm, decoder.prelu, each)
        self.weight = decoder.conv.weight[:, :, 0].permute(1, 2, 0).flatten(1)  # (channels, 2 taps * 2)
        self.bias = _bias(decoder.conv)

    def __call__(self, x: Tensor) -> Tensor:
        """(frames, bands, channels) to (2, frames, bins)."""
        frames, bands, channels = x.shape
        self.dense.begin(frames, bands).copy_(x)
        y, statistics = self.sub_pixel(self.dense())
        even, odd = (
            _Statistics(statistics.count, statistics.mean[half], statistics.squares[half])
            for half in (slice(channels), slice(channels, None))
        )
        y = y.view(frames, 2 * bands, channels)  # even and odd bands lie side by side already
        y = self.norm(y, even + odd, y)
        return (_neighbours((y @ self.weight).unflatten(2, (2, 2))) + self.bias).permute(2, 0, 1)


def _neighbours(x: Tensor) -> Tensor:
    """A convolution over two bands from its products with each: (frames, bands, 2, n) to (frames, bands - 1, n)."""
    return x[:, :-1, 0] + x[:, 1:, 1]


class _Conformer:
    """A conformer on a few sequences at a time."""

    def __init__(self, block: ConformerBlock) -> None:
        attention, conv = block.attn.fn, block.conv.net
        self.ff1, self.ff2 = _FeedForward(block.ff1), _FeedForward(block.ff2)
        self.attention_norm, self.conv_norm, self.post_norm = (
            block.attn.norm,
            of_kind(nn.LayerNorm, conv[0]),
            block.post_norm,
        )
        in_bits = attention.rel_pos_emb.embedding_dim**-0.5 * math.log2(math.e)
        self.qkv = torch.cat([attention.to_q.weight * in_bits, attention.to_kv.weight]).t().contiguous()
        self.out = _linear(attention.to_out)
        self.embedding = attention.rel_pos_emb.weight
        enter, leave = of_kind(nn.Conv1d, conv[2]), of_kind(nn.Conv1d, conv[7])
        (value, gate), (value_bias, gate_bias) = enter.weight[:, :, 0].chunk(2), _bias(enter).chunk(2)
        self.value, self.gate = (value.t().contiguous(), value_bias), (gate.t().contiguous(), gate_bias)
        norm, depthwise = of_kind(nn.BatchNorm1d, conv[5]), of_kind(DepthwiseConv, conv[4]).conv
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        self.depthwise = (depthwise.weight * scale[:, None, None])[:, :, None]  # (channels, 1, 1, 31)
        self.depthwise_bias = (_bias(depthwise) - norm.running_mean) * scale + norm.bias
        self.leave = leave.weight[:, :, 0].t().contiguous(), _bias(leave)

    def __call__(self, x: Tensor, table: Tensor) -> Tensor:
        """(sequences, steps, channels) to the same shape; ``table`` is :func:`position_table` of the steps."""
        tokens = x.reshape(-1, x.shape[2])
        tokens = tokens.clone() if tokens.data_ptr() == x.data_ptr() else tokens
        self.ff1.add_to(tokens)
        self._attend(tokens, x.shape[:2], table)
        self._convolve(tokens, x.shape[:2])
        self.ff2.add_to(tokens)
        return _norm(self.post_norm, tokens).view(x.shape)

    def _attend(self, tokens: Tensor, shape: torch.Size, table: Tensor) -> None:
        """Add the attention to the tokens of ``shape``, (sequences, steps)."""
        qkv = (_norm(self.attention_norm, tokens) @ self.qkv).view(*shape, 3, HEADS, -1)
        _add_linear(tokens, attend(qkv, table).reshape(len(tokens), -1), self.out)

    def _convolve(self, tokens: Tensor, shape: torch.Size) -> None:
        """Add the convolution module to the tokens of ``shape``, (sequences, steps)."""
        normed = _norm(self.conv_norm, tokens)
        y = torch.addmm(self.gate[1], normed, self.gate[0]).sigmoid_()
        y *= torch.addmm(self.value[1], normed, self.value[0])
        y = y.view(shape[0], 1, shape[1], -1).permute(0, 3, 1, 2)  # (sequences, channels, 1, steps), channels_last
        y = functional.conv2d(y, self.depthwise, self.depthwise_bias, padding=(0, KERNEL // 2), groups=y.shape[1])
        y = functional.silu(y.permute(0, 2, 3, 1).reshape(len(tokens), -1), inplace=True)
        _add_linear(tokens, y, self.leave)


class _FeedForward:
    """A feed-forward layer, halved."""

    def __init__(self, half: Half[PreNorm[FeedForward]]) -> None:
        self.norm, net = half.fn.norm, half.fn.fn.net
        self.inner, self.outer = _linear(of_kind(nn.Linear, net[0])), _linear(of_kind(nn.Linear, net[3]), 0.5)

    def add_to(self, tokens: Tensor) -> None:
        """(tokens, channels), in place."""
        weight, bias = self.inner
        inner = functional.silu(torch.addmm(bias, _norm(self.norm, tokens), weight), inplace=True)
        _add_linear(tokens, inner, self.outer)


def _linear(layer: nn.Linear, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Weight, (inputs, outputs), and bias of a layer times ``scale``."""
    return (layer.weight.t() * scale).contiguous(), layer.bias * scale


def _add_linear(tokens: Tensor, x: Tensor, layer: tuple[Tensor, Tensor]) -> None:
    """tokens += x @ weight + bias."""
    tokens.addmm_(x, layer[0]).add_(layer[1])


def _norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """A layer norm."""
    return functional.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


@contextmanager
def fused_attention(network: TscNet) -> Iterator[None]:
    """Within the block, the network's attention is :func:`fused_attend`, which is for GPUs but works anywhere."""
    layers = [module for module in network.modules() if isinstance(module, RelativeAttention)]
    for layer in layers:
        setattr(layer, "attend", partial(fused_attend, layer.rel_pos_emb.weight))  # noqa: B010 (hides a method)
    try:
        yield
    finally:
        for layer in layers:
            del layer.attend  # the class's own again
