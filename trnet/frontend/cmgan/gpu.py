"""The CMGAN generator for inference on a GPU: the results of :class:`TscNet` from the kernels of ``kernels/``.

- What lies between two layers is not written to memory where it need not be: a conformer is four kernels, one of them
  its attention.
- Maps of a dense block lie side by side in one tensor: nothing is padded, concatenated or transposed.
- A convolution's program takes the statistics of the instance norm that follows.
- A kernel serves clips of any number and length: nothing is compiled for a shape.
- Scales, halves, the batch norm and the sub-pixel convolution of the mask are folded into weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.frontend.cmgan.conformer import (
    FARTHEST,
    HEADS,
    KERNEL,
    ConformerBlock,
    DepthwiseConv,
    FeedForward,
    Half,
    PreNorm,
)
from trnet.frontend.cmgan.fast import joined_sub_pixel, of_kind
from trnet.frontend.cmgan.kernels.attention import attend
from trnet.frontend.cmgan.kernels.conformer import answer_and_gate, convolve_and_feed, feed_and_ask
from trnet.frontend.cmgan.kernels.convolution import activate, activate_and_leave, convolve, enter, finish
from trnet.frontend.cmgan.network import DEPTH, DilatedDense, TscNet

CHANNELS = 64  # of the networks served
KINDS = {"float32": (torch.float32, "tf32x3"), "tf32": (torch.float32, "tf32"), "bf16": (torch.bfloat16, "ieee")}
"""For each precision the type of maps and weights, and what Triton makes products of."""
QUERIES, QUERY_WARPS = 32, 2  # in a block of scores, which has as many keys; the warps of its program
STAGES = 2  # of weights on their way to a conformer's products
ROWS = 64  # tokens of a program of a conformer's layers, and of norms
CONV_ROWS = 128  # tokens of a program of a convolution
PARTS, TOGETHER = 64, 16  # parts and channels of statistics at a time
NARROW = 16  # fewest outputs of a product


class Generator:
    """All of the network, with its weights as they are now."""

    def __init__(self, network: TscNet, precision: str) -> None:
        """``precision``: one of ``KINDS``."""
        kind = _Kind(*KINDS[precision])
        encoder, mask, residual = network.dense_encoder, network.mask_decoder, network.complex_decoder
        self.kind = kind
        conv, *norm = encoder.conv_1
        first = of_kind(nn.Conv2d, conv)
        self.enter = first.weight[:, :, 0, 0].t().contiguous(), _bias(first)
        self.enter_norm = _Norm(*norm)
        self.dense = _Dense(encoder.dilated_dense, kind)
        conv, *norm = encoder.conv_2
        self.halve, self.halve_norm = _Conv(of_kind(nn.Conv2d, conv), kind), _Norm(*norm)
        blocks = (network.TSCB_1, network.TSCB_2, network.TSCB_3, network.TSCB_4)
        self.blocks = [(_Conformer(b.time_conformer, kind), _Conformer(b.freq_conformer, kind)) for b in blocks]
        self.mask_dense, self.mask_conv = _Dense(mask.dense_block, kind), _Conv(joined_sub_pixel(mask), kind)
        self.mask = mask
        self.residual_dense = _Dense(residual.dense_block, kind)
        self.sub_pixel = _Conv(residual.sub_pixel.conv, kind)
        self.residual_norm = _Norm(residual.norm, residual.prelu)
        leave = residual.conv.weight[:, :, 0].permute(1, 2, 0).flatten(1)  # (channels, 2 taps * 2)
        self.leave = functional.pad(leave, (0, NARROW - leave.shape[1])).to(kind.dtype).contiguous()
        self.leave_bias = _bias(residual.conv)

    @torch.inference_mode()
    def __call__(self, spec: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, 3, frames, bins) float32 to real and imaginary part, each (clips, frames, bins)."""
        spec = spec.contiguous()
        clips, _, frames, bins = spec.shape
        maps = self._maps(spec, bins)
        y, statistics = self._enter(spec)
        self.enter_norm(y, statistics, maps[..., -CHANNELS:])
        y, statistics = self.halve(self.dense(maps))
        x = torch.empty(y.shape, device=y.device)
        self.halve_norm(y, statistics, x)
        del maps, y
        bands = x.shape[2]
        along_time = _Sequences(frames, bands, frames * bands, 1, bands)
        along_bands = _Sequences(bands, frames, frames * bands, bands, 1)
        for over_time, over_bands in self.blocks:
            over_time(x, along_time)
            over_bands(x, along_bands)
        maps = self._maps(spec, bands)
        maps[..., -CHANNELS:] = x
        mask = self._mask(self.mask_dense(maps))
        more = self._residual(self.residual_dense(maps))
        return mask * spec[:, 1] + more[..., 0], mask * spec[:, 2] + more[..., 1]

    def _maps(self, spec: Tensor, bands: int) -> Tensor:
        """Room for the maps of a dense block, (clips, frames, bands, DEPTH * channels)."""
        return torch.empty(len(spec), spec.shape[2], bands, DEPTH * CHANNELS, dtype=self.kind.dtype, device=spec.device)

    def _enter(self, spec: Tensor) -> tuple[Tensor, _Statistics]:
        """The first convolution: (clips, 3, frames, bins) to (clips, frames, bins, channels)."""
        clips, _, frames, bins = spec.shape
        y = torch.empty(clips, frames, bins, CHANNELS, dtype=self.kind.dtype, device=spec.device)
        statistics = _Statistics.room(y, frames * bins)
        grid = (statistics.parts, clips)
        enter[grid](spec, *self.enter, y, statistics.means, statistics.squares, frames * bins, CHANNELS, CONV_ROWS)
        return y, statistics

    def _mask(self, x: Tensor) -> Tensor:
        """The mask decoder after its dense block: (clips, frames, bands, channels) to (clips, frames, bins)."""
        y, _ = self.mask_conv(x)
        y = _neighbours(y[..., :4].reshape(*x.shape[:2], -1, 2, 1))[..., 0]  # even and odd bands lie side by side
        norm, last = self.mask.norm, self.mask.final_conv
        variance, mean = torch.var_mean(y, dim=(1, 2), correction=0, keepdim=True)
        y = (y - mean) * (norm.weight * (variance + norm.eps).rsqrt()) + norm.bias
        y = functional.prelu(y, self.mask.prelu.weight) * last.weight.flatten() + _bias(last)
        return functional.prelu(y.flatten(0, 1), self.mask.prelu_out.weight).view(y.shape)

    def _residual(self, x: Tensor) -> Tensor:
        """The complex decoder after its dense block: (clips, frames, bands, channels) to (clips, frames, bins, 2)."""
        y, statistics = self.sub_pixel(x)
        y = y.view(*x.shape[:2], -1, CHANNELS)  # even and odd bands lie side by side already
        clips, frames, bands, _ = y.shape
        out = torch.empty(clips, frames, bands, NARROW, device=y.device)
        scale, shift = self.residual_norm.finished(statistics)
        grid = (-(-frames * bands // ROWS), clips)
        activate_and_leave[grid](
            *(y, scale, shift, self.residual_norm.slope, self.leave, out, frames * bands),
            *(CHANNELS, NARROW, ROWS, self.kind.products),
        )
        return _neighbours(out[..., :4].unflatten(3, (2, 2))) + self.leave_bias


@dataclass(frozen=True)
class _Kind:
    """The type of maps and weights, and what products are made of."""

    dtype: torch.dtype
    products: str


@dataclass(frozen=True)
class _Statistics:
    """Means and sums of squared deviations of parts of each clip, (clips, parts * side, channels) float32."""

    means: Tensor
    squares: Tensor
    tokens: int  # of a clip; a part has CONV_ROWS of them, the last one the rest
    side: int  # statistics of each part

    @classmethod
    def room(cls, y: Tensor, tokens: int, side: int = 1) -> _Statistics:
        """Not yet filled, for (clips, ...)."""
        parts = -(-tokens // CONV_ROWS) * side
        means, squares = torch.empty(2, len(y), parts, CHANNELS, device=y.device).unbind(0)
        return cls(means, squares, tokens, side)

    @property
    def parts(self) -> int:
        return self.means.shape[1]


class _Norm:
    """Instance norm and PReLU."""

    def __init__(self, norm: nn.Module, prelu: nn.Module) -> None:
        self.norm, self.slope = of_kind(nn.InstanceNorm2d, norm), of_kind(nn.PReLU, prelu).weight

    def finished(self, statistics: _Statistics) -> tuple[Tensor, Tensor]:
        """The norm as scale and shift, each (clips, channels)."""
        clips = len(statistics.means)
        scale, shift = torch.empty(2, clips, CHANNELS, device=statistics.means.device).unbind(0)
        finish[(clips, CHANNELS // TOGETHER)](
            *(statistics.means, statistics.squares, self.norm.weight, self.norm.bias, scale, shift),
            *(statistics.tokens, statistics.parts, statistics.side),
            *(CHANNELS, TOGETHER, CONV_ROWS, PARTS, self.norm.eps),
        )
        return scale, shift

    def __call__(self, y: Tensor, statistics: _Statistics, out: Tensor) -> None:
        """(clips, frames, bands, channels) into ``out``, of the same shape."""
        scale, shift = self.finished(statistics)
        tokens = y.shape[1] * y.shape[2]
        grid = (-(-tokens // ROWS), len(y))
        activate[grid](y, scale, shift, self.slope, out, tokens, out.stride(2), CHANNELS, ROWS)


class _Conv:
    """A convolution over this frame, perhaps one before it, and one or three bands."""

    def __init__(self, conv: nn.Conv2d, kind: _Kind) -> None:
        outputs, self.known, self.times, self.taps = conv.weight.shape
        self.outputs = min(CHANNELS, max(outputs, NARROW))  # of a program
        self.side = -(-outputs // CHANNELS)
        missing = self.outputs * self.side - outputs
        weight = functional.pad(conv.weight, (0, 0) * 3 + (0, missing)).permute(2, 3, 1, 0)
        weight = weight.reshape(-1, self.side, self.outputs).transpose(0, 1)
        self.weight = weight.to(kind.dtype).contiguous()
        self.bias = functional.pad(_bias(conv), (0, missing))
        self.past, self.stride, self.kind = conv.dilation[0], conv.stride[1], kind

    def __call__(self, x: Tensor) -> tuple[Tensor, _Statistics]:
        """(clips, frames, bands, inputs) to (clips, frames, bands / stride, outputs) and its statistics."""
        clips, frames, bands, _ = x.shape
        new = (bands - 1) // self.stride + 1
        # what has no norm behind it is small, and kept exactly
        dtype = self.kind.dtype if self.outputs == CHANNELS else torch.float32
        y = torch.empty(clips, frames, new, self.side * self.outputs, dtype=dtype, device=x.device)
        statistics = _Statistics.room(y, frames * new, self.side)
        grid = (-(-frames * new // CONV_ROWS), self.side, clips)
        convolve[grid](
            *(x, self.weight, self.bias, y, statistics.means, statistics.squares),
            *(frames, bands, new, self.known, x.stride(2), self.past),
            STRIDE=self.stride,
            TIMES=self.times,
            TAPS=self.taps,
            INPUTS=CHANNELS // 2 if self.kind.dtype == torch.float32 else CHANNELS,
            OUTPUTS=self.outputs,
            ROWS=CONV_ROWS,
            NOTED=self.outputs == CHANNELS,
            PRECISION=self.kind.products,
        )
        return y, statistics


class _Dense:
    """The dilated dense block. Its maps lie side by side in one tensor, the newest first, as in the weights."""

    def __init__(self, dense: DilatedDense, kind: _Kind) -> None:
        layers = [[dense.get_submodule(f"{name}{i + 1}") for name in ("conv", "norm", "prelu")] for i in range(DEPTH)]
        self.layers = [(_Conv(of_kind(nn.Conv2d, conv), kind), _Norm(norm, prelu)) for conv, norm, prelu in layers]

    def __call__(self, maps: Tensor) -> Tensor:
        """(clips, frames, bands, DEPTH * channels), of which the last channels are the input, to one map of it."""
        for i, (conv, norm) in enumerate(self.layers):
            known = (DEPTH - 1 - i) * CHANNELS
            y, statistics = conv(maps[..., known:])
            norm(y, statistics, y if i == DEPTH - 1 else maps[..., known - CHANNELS : known])
        return y


@dataclass(frozen=True)
class _Sequences:
    """Where sequences of tokens lie: sequence s begins at s // inner * outer_stride + s % inner * inner_stride."""

    steps: int
    inner: int
    outer_stride: int
    inner_stride: int
    step_stride: int

    def all(self) -> tuple[int, ...]:
        """As a kernel takes them."""
        return self.steps, self.inner, self.outer_stride, self.inner_stride, self.step_stride


class _Conformer:
    """A conformer that adds its output to its input."""

    def __init__(self, block: ConformerBlock, kind: _Kind) -> None:
        self.kind = kind
        attention, conv, post = block.attn.fn, block.conv.net, block.post_norm
        in_bits = attention.rel_pos_emb.embedding_dim**-0.5 * math.log2(math.e)
        asked = torch.cat([attention.to_q.weight * in_bits, attention.to_kv.weight])
        self.table = attention.rel_pos_emb.weight.to(kind.dtype).contiguous()
        self.first, self.last = self._feed_forward(block.ff1), self._feed_forward(block.ff2)
        self.ask = self._after(block.attn.norm, asked, None)
        self.answer = self._weight(attention.to_out.weight), attention.to_out.bias
        enter, leave = of_kind(nn.Conv1d, conv[2]), of_kind(nn.Conv1d, conv[7])
        self.gate = self._after(of_kind(nn.LayerNorm, conv[0]), enter.weight[:, :, 0], _bias(enter))
        norm, depthwise = of_kind(nn.BatchNorm1d, conv[5]), of_kind(DepthwiseConv, conv[4]).conv
        assert norm.running_var is not None and norm.running_mean is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = (_bias(depthwise) - norm.running_mean) * scale + norm.bias
        self.depthwise = (depthwise.weight[:, 0] * scale[:, None]).t().contiguous(), bias  # (31, 2 * channels)
        self.leave = self._weight(leave.weight[:, :, 0]), _bias(leave)
        self.post, self.eps = (post.weight, post.bias), post.eps

    def _weight(self, weight: Tensor) -> Tensor:
        """(outputs, inputs) as a kernel takes it."""
        return weight.t().to(self.kind.dtype).contiguous()

    def _after(self, norm: nn.LayerNorm, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """A linear layer with scale and shift of the norm before it."""
        shift = weight @ norm.bias
        return self._weight(weight * norm.weight), shift if bias is None else shift + bias

    def _feed_forward(self, half: Half[PreNorm[FeedForward]]) -> tuple[Tensor, ...]:
        """Both layers, halved."""
        net = half.fn.fn.net
        inner, outer = of_kind(nn.Linear, net[0]), of_kind(nn.Linear, net[3])
        return *self._after(half.fn.norm, inner.weight, inner.bias), self._weight(outer.weight * 0.5), outer.bias * 0.5

    def __call__(self, x: Tensor, sequences: _Sequences) -> None:
        """(clips, frames, bands, channels) float32, in place."""
        tokens, dtype = x.numel() // CHANNELS, self.kind.dtype
        y = torch.empty_like(x)
        qkv = torch.empty(tokens, 3 * CHANNELS, dtype=dtype, device=x.device)
        sizes = (CHANNELS, ROWS, self.kind.products, self.eps)
        grid = (-(-tokens // ROWS),)
        feed_and_ask[grid](x, y, qkv, *self.first, *self.ask, tokens, *sizes, num_stages=STAGES)
        said = torch.empty(tokens, CHANNELS, dtype=dtype, device=x.device)
        blocks = tokens // sequences.steps * HEADS * -(-sequences.steps // QUERIES)
        attend[(blocks,)](
            *(qkv, self.table, said, *sequences.all()),
            *(HEADS, CHANNELS // HEADS, FARTHEST, QUERIES, self.kind.products),
            num_warps=QUERY_WARPS,
        )
        del qkv
        gated = torch.empty(tokens, 2 * CHANNELS, dtype=dtype, device=x.device)
        answer_and_gate[grid](said, y, gated, *self.answer, *self.gate, tokens, *sizes, num_stages=STAGES)
        convolve_and_feed[grid](
            *(gated, y, x, *self.depthwise, *self.leave, *self.last, *self.post),
            *(tokens, *sequences.all(), KERNEL, *sizes),
            num_stages=STAGES,
        )


def _bias(layer: nn.Conv1d | nn.Conv2d) -> Tensor:
    """The bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias


def _neighbours(x: Tensor) -> Tensor:
    """A convolution over two bands from its products with each: (clips, frames, bands, 2, n) to one band less, n."""
    return x[:, :, :-1, 0] + x[:, :, 1:, 1]
