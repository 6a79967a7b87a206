"""The layers of a conformer around its attention, in three kernels: what lies between two layers stays in registers.

Weights are (inputs, outputs) and hold the scale of the layer norm before them, biases its shift; see ``gpu.py``.
"""

import triton
import triton.language as tl


@triton.jit
def normed(x, CHANNELS: tl.constexpr, EPS: tl.constexpr):
    """Rows (ROWS, CHANNELS) less their mean, over their deviation."""
    x -= (tl.sum(x, axis=1) / CHANNELS)[:, None]
    return x * tl.rsqrt(tl.sum(x * x, axis=1) / CHANNELS + EPS)[:, None]


@triton.jit
def fed_forward(x, w1, b1, w2, b2, CHANNELS: tl.constexpr, PRECISION: tl.constexpr, EPS: tl.constexpr):
    """x plus a feed-forward layer of it whose inner layer is four times as wide, CHANNELS of it at a time."""
    c = tl.arange(0, CHANNELS)
    y = normed(x, CHANNELS, EPS).to(w1.dtype.element_ty)
    x += tl.load(b2 + c)
    for start in range(0, 4 * CHANNELS, CHANNELS):
        first = tl.load(w1 + c[:, None] * (4 * CHANNELS) + start + c)
        inner = tl.dot(y, first, input_precision=PRECISION) + tl.load(b1 + start + c)
        inner *= tl.sigmoid(inner)
        second = tl.load(w2 + (start + c)[:, None] * CHANNELS + c)
        x += tl.dot(inner.to(second.dtype), second, input_precision=PRECISION)
    return x


@triton.jit(do_not_specialize=["tokens"])
def feed_and_ask(
    x,  # (tokens, CHANNELS) float32
    y,  # the same: x after the feed-forward layer
    qkv,  # (tokens, 3 * CHANNELS)
    w1,
    b1,
    w2,
    b2,
    w_qkv,
    b_qkv,
    tokens,
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
    EPS: tl.constexpr,
):
    """The first feed-forward layer, and queries, keys and values."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, CHANNELS)
    there = (rows < tokens)[:, None]
    at = rows[:, None] * CHANNELS + c
    fed = fed_forward(tl.load(x + at, mask=there, other=0.0), w1, b1, w2, b2, CHANNELS, PRECISION, EPS)
    tl.store(y + at, fed, mask=there)
    asked = normed(fed, CHANNELS, EPS).to(w_qkv.dtype.element_ty)
    for start in range(0, 3 * CHANNELS, CHANNELS):
        weight = tl.load(w_qkv + c[:, None] * (3 * CHANNELS) + start + c)
        part = tl.dot(asked, weight, input_precision=PRECISION) + tl.load(b_qkv + start + c)
        tl.store(qkv + rows[:, None] * (3 * CHANNELS) + start + c, part.to(qkv.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["tokens"])
def answer_and_gate(
    said,  # (tokens, CHANNELS): what attention says
    y,  # (tokens, CHANNELS) float32, to which it is added
    gated,  # (tokens, 2 * CHANNELS)
    w_out,
    b_out,
    w_gate,
    b_gate,
    tokens,
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
    EPS: tl.constexpr,
):
    """The end of the attention, and the gated linear layer that begins the convolution."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, CHANNELS)
    there = (rows < tokens)[:, None]
    at = rows[:, None] * CHANNELS + c
    values = tl.load(said + at, mask=there, other=0.0)
    x = tl.load(y + at, mask=there, other=0.0) + tl.load(b_out + c)
    x += tl.dot(values, tl.load(w_out + c[:, None] * CHANNELS + c), input_precision=PRECISION)
    tl.store(y + at, x, mask=there)
    x = normed(x, CHANNELS, EPS).to(w_gate.dtype.element_ty)
    for start in range(0, 2 * CHANNELS, CHANNELS):
        weight = w_gate + c[:, None] * (4 * CHANNELS) + start + c
        value = tl.dot(x, tl.load(weight), input_precision=PRECISION) + tl.load(b_gate + start + c)
        gate = tl.dot(x, tl.load(weight + 2 * CHANNELS), input_precision=PRECISION)
        value *= tl.sigmoid(gate + tl.load(b_gate + 2 * CHANNELS + start + c))
        tl.store(gated + rows[:, None] * (2 * CHANNELS) + start + c, value.to(gated.dtype.element_ty), mask=there)


@triton.jit(do_not_specialize=["tokens", "steps", "inner", "outer_stride", "inner_stride", "step_stride"])
def convolve_and_feed(
    gated,  # (tokens, 2 * CHANNELS)
    y,  # (tokens, CHANNELS) float32
    x,  # the same: the conformer's input, to which its output is added
    w_depth,  # (KERNEL, 2 * CHANNELS) float32, the batch norm included
    b_depth,
    w_leave,
    b_leave,
    w1,
    b1,
    w2,
    b2,
    post_weight,
    post_bias,
    tokens,
    steps,  # of a sequence; where it begins, as for attention
    inner,
    outer_stride,
    inner_stride,
    step_stride,
    KERNEL: tl.constexpr,
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
    EPS: tl.constexpr,
):
    """Depthwise convolution along the steps, Swish, linear layer; the second feed-forward layer; the last norm."""
    place = tl.program_id(0) * ROWS + tl.arange(0, ROWS)  # tokens counted sequence by sequence
    c = tl.arange(0, CHANNELS)
    valid = place < tokens
    there = valid[:, None]
    sequence, step = place // steps, place % steps
    rows = (sequence // inner * outer_stride + sequence % inner * inner_stride + step * step_stride).to(tl.int64)
    at = rows[:, None] * CHANNELS + c
    fed = tl.load(y + at, mask=there, other=0.0) + tl.load(b_leave + c)
    for start in range(0, 2 * CHANNELS, CHANNELS):
        deep = tl.zeros([ROWS, CHANNELS], tl.float32) + tl.load(b_depth + start + c)
        for tap in range(KERNEL):
            away = tap - KERNEL // 2
            inside = (valid & (step + away >= 0) & (step + away < steps))[:, None]
            far = gated + (rows + away * step_stride)[:, None] * (2 * CHANNELS) + start + c
            deep += tl.load(far, mask=inside, other=0.0).to(tl.float32) * tl.load(
                w_depth + tap * 2 * CHANNELS + start + c
            )
        deep *= tl.sigmoid(deep)
        weight = tl.load(w_leave + (start + c)[:, None] * CHANNELS + c)
        fed += tl.dot(deep.to(weight.dtype), weight, input_precision=PRECISION)
    fed = fed_forward(fed, w1, b1, w2, b2, CHANNELS, PRECISION, EPS)
    fed = normed(fed, CHANNELS, EPS) * tl.load(post_weight + c) + tl.load(post_bias + c)
    tl.store(x + at, tl.load(x + at, mask=there, other=0.0) + fed, mask=there)
