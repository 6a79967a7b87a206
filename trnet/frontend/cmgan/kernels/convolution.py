"""Convolutions of maps as matrix products, with instance norms whose statistics the products' own programs take.

Maps are (clips, frames, bands, channels). A convolution sums over ``TIMES`` frames, this one and one ``past`` frames
back, and ``TAPS`` bands. Its program computes ROWS tokens of one clip, and mean and squared deviations of each channel
over them; :func:`finish` joins these (Chan et al., "Updating formulae", 1979).
"""

import triton
import triton.language as tl


@triton.jit
def noted(y, valid, means, squares, part, tokens, first, CHANNELS: tl.constexpr, ROWS: tl.constexpr):
    """Store the mean of each channel of (ROWS, CHANNELS) over valid rows, and the sum of squared deviations."""
    c = tl.arange(0, CHANNELS)
    mean = tl.sum(tl.where(valid, y, 0.0), axis=0) / tl.minimum(tokens - first, ROWS)
    apart = tl.where(valid, y - mean[None, :], 0.0)
    tl.store(means + part * CHANNELS + c, mean)
    tl.store(squares + part * CHANNELS + c, tl.sum(apart * apart, axis=0))


@triton.jit(do_not_specialize=["tokens"])
def enter(
    spec,  # (clips, 3, tokens) float32
    weight,  # (3, CHANNELS) float32
    bias,  # (CHANNELS,) float32
    y,  # (clips, tokens, CHANNELS)
    means,  # (clips, parts, CHANNELS) float32
    squares,
    tokens,  # of a clip
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """The first convolution, of one frame and band."""
    clip = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    rows = first + tl.arange(0, ROWS)
    c = tl.arange(0, CHANNELS)
    valid = rows < tokens
    sums = tl.zeros([ROWS, CHANNELS], tl.float32) + tl.load(bias + c)
    for part in range(3):
        x = tl.load(spec + (clip * 3 + part) * tokens + rows, mask=valid, other=0.0)
        sums += x[:, None] * tl.load(weight + part * CHANNELS + c)[None, :]
    tl.store(y + (clip * tokens + rows[:, None]) * CHANNELS + c, sums.to(y.dtype.element_ty), mask=valid[:, None])
    part = clip * tl.num_programs(0) + tl.program_id(0)
    noted(sums, valid[:, None], means, squares, part, tokens, first, CHANNELS, ROWS)


@triton.jit(do_not_specialize=["frames", "bands", "new_bands", "past"])
def convolve(
    x,  # (clips, frames, bands, of which `known` channels at x)
    weight,  # (outputs / OUTPUTS, TIMES * TAPS * known, OUTPUTS)
    bias,  # (outputs,) float32
    y,  # (clips, frames * new_bands, outputs)
    means,  # (clips, parts, OUTPUTS) float32, where NOTED
    squares,
    frames,
    bands,
    new_bands,
    known,  # a multiple of INPUTS
    ld,  # channels from one token of x to the next
    past,
    STRIDE: tl.constexpr,  # of bands
    TIMES: tl.constexpr,
    TAPS: tl.constexpr,
    INPUTS: tl.constexpr,  # channels at a time
    OUTPUTS: tl.constexpr,  # of a program
    ROWS: tl.constexpr,
    NOTED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A convolution over TIMES frames and TAPS bands, with zeros before the first frame and around the bands."""
    clip = tl.program_id(2).to(tl.int64)
    tokens = frames * new_bands
    first = tl.program_id(0) * ROWS
    rows = first + tl.arange(0, ROWS)
    i = tl.arange(0, INPUTS)
    o = tl.arange(0, OUTPUTS)
    frame, band = rows // new_bands, rows % new_bands * STRIDE
    valid = rows < tokens
    token = (clip * frames + frame) * bands + band
    chunks = known // INPUTS
    weight += tl.program_id(1) * (TIMES * TAPS * known * OUTPUTS)
    sums = tl.zeros([ROWS, OUTPUTS], tl.float32)
    for k in range(TIMES * TAPS * chunks):
        tap, start = k // chunks, k % chunks * INPUTS
        back = (TIMES - 1 - tap // TAPS) * past
        aside = tap % TAPS - TAPS // 2
        inside = valid & (frame >= back) & (band + aside >= 0) & (band + aside < bands)
        a = tl.load(x + (token - back * bands + aside)[:, None] * ld + start + i, mask=inside[:, None], other=0.0)
        b = tl.load(weight + (k * INPUTS + i)[:, None] * OUTPUTS + o)
        sums = tl.dot(a, b, sums, input_precision=PRECISION)
    sums += tl.load(bias + tl.program_id(1) * OUTPUTS + o)
    at = (clip * tokens + rows[:, None]) * (OUTPUTS * tl.num_programs(1)) + tl.program_id(1) * OUTPUTS + o
    tl.store(y + at, sums.to(y.dtype.element_ty), mask=valid[:, None])
    if NOTED:
        part = (clip * tl.num_programs(0) + tl.program_id(0)) * tl.num_programs(1) + tl.program_id(1)
        noted(sums, valid[:, None], means, squares, part, tokens, first, OUTPUTS, ROWS)


@triton.jit(do_not_specialize=["tokens", "parts", "side"])
def finish(
    means,  # (clips, parts, CHANNELS), of which `side` in a row are of the same ROWS tokens
    squares,
    weight,  # (CHANNELS,) of the norm
    bias,
    scale,  # (clips, CHANNELS)
    shift,
    tokens,
    parts,
    side,
    CHANNELS: tl.constexpr,
    TOGETHER: tl.constexpr,  # channels of a program
    ROWS: tl.constexpr,
    PARTS: tl.constexpr,  # at a time
    EPS: tl.constexpr,
):
    """An instance norm as scale and shift, from statistics of parts."""
    clip = tl.program_id(0)
    c = tl.program_id(1) * TOGETHER + tl.arange(0, TOGETHER)
    p = tl.arange(0, PARTS)
    mean = tl.zeros([PARTS, TOGETHER], tl.float32)
    deviation = tl.zeros([PARTS, TOGETHER], tl.float32)
    count = tl.zeros([PARTS, 1], tl.float32)
    for start in range(0, parts, PARTS):  # each row joins every PARTS-th part
        part = start + p
        there = (part < parts)[:, None]
        at = (clip * parts + part)[:, None] * CHANNELS + c
        new = tl.where(there, tl.minimum(tokens - part // side * ROWS, ROWS)[:, None].to(tl.float32), 0.0)
        apart = tl.load(means + at, mask=there, other=0.0) - mean
        joined = tl.maximum(count + new, 1.0)
        mean += apart * (new / joined)
        deviation += tl.load(squares + at, mask=there, other=0.0) + apart * apart * (count * new / joined)
        count += new
    whole = tl.sum(count)
    middle = tl.sum(mean * count, axis=0) / whole
    apart = mean - middle[None, :]
    variance = tl.sum(deviation + apart * apart * count, axis=0) / whole
    scaled = tl.load(weight + c) / tl.sqrt(variance + EPS)
    tl.store(scale + clip * CHANNELS + c, scaled)
    tl.store(shift + clip * CHANNELS + c, tl.load(bias + c) - middle * scaled)


@triton.jit
def activated(y, scale, shift, slope, clip, rows, valid, tokens, CHANNELS: tl.constexpr):
    """(ROWS, CHANNELS) of y after norm and PReLU."""
    c = tl.arange(0, CHANNELS)
    z = tl.load(y + (clip * tokens + rows[:, None]) * CHANNELS + c, mask=valid[:, None], other=0.0).to(tl.float32)
    z = z * tl.load(scale + clip * CHANNELS + c) + tl.load(shift + clip * CHANNELS + c)
    return tl.where(z < 0, z * tl.load(slope + c), z)


@triton.jit(do_not_specialize=["tokens"])
def activate(
    y,  # (clips, tokens, CHANNELS)
    scale,  # (clips, CHANNELS)
    shift,
    slope,  # (CHANNELS,)
    out,  # (clips, tokens, of which CHANNELS at out)
    tokens,
    ld,  # channels from one token of out to the next
    CHANNELS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Norm and PReLU."""
    clip = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = rows < tokens
    z = activated(y, scale, shift, slope, clip, rows, valid, tokens, CHANNELS)
    to = out + (clip * tokens + rows[:, None]) * ld + tl.arange(0, CHANNELS)
    tl.store(to, z.to(out.dtype.element_ty), mask=valid[:, None])


@triton.jit(do_not_specialize=["tokens"])
def activate_and_leave(
    y,  # as for `activate`
    scale,
    shift,
    slope,
    weight,  # (CHANNELS, OUTPUTS)
    out,  # (clips, tokens, OUTPUTS) float32
    tokens,
    CHANNELS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Norm, PReLU and a matrix product."""
    clip = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    valid = rows < tokens
    z = activated(y, scale, shift, slope, clip, rows, valid, tokens, CHANNELS)
    o = tl.arange(0, OUTPUTS)
    matrix = tl.load(weight + tl.arange(0, CHANNELS)[:, None] * OUTPUTS + o)
    said = tl.dot(z.to(matrix.dtype), matrix, input_precision=PRECISION)
    tl.store(out + (clip * tokens + rows[:, None]) * OUTPUTS + o, said, mask=valid[:, None])
