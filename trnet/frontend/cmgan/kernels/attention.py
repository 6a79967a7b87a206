"""Attention with relative positions in one kernel: scores, softmax and values of a block of queries stay in registers.

Scores of positions are q . E of all distances that occur between a block of queries and a block of keys, twice as many
as keys; row i of them is shifted by i (Huang et al., "Music Transformer", 2019). The shift is a gather among registers.
Along time at 801 frames that is 192 bytes of queries, keys and values a token instead of the 8 KB (bf16) or 16 KB
(float32) that scores of positions written to memory and read again would move.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["steps", "inner", "outer_stride", "inner_stride", "step_stride"])
def attend(
    qkv,  # (tokens, 3, HEADS, WIDTH): queries scaled so that scores are in bits
    table,  # (2 * FARTHEST + 1, WIDTH): embeddings of -FARTHEST..FARTHEST steps
    out,  # (tokens, HEADS, WIDTH)
    steps,  # of a sequence
    inner,  # sequences side by side; sequence s begins at token s // inner * outer_stride + s % inner * inner_stride
    outer_stride,
    inner_stride,
    step_stride,  # tokens from one step to the next
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    FARTHEST: tl.constexpr,
    BLOCK: tl.constexpr,  # queries, and keys, at a time
    PRECISION: tl.constexpr,
):
    """One program: one block of queries of one head of one sequence."""
    CHANNELS: tl.constexpr = HEADS * WIDTH
    blocks = tl.cdiv(steps, BLOCK)
    block = tl.program_id(0) % blocks
    head = tl.program_id(0) // blocks % HEADS
    sequence = tl.program_id(0) // (blocks * HEADS)
    first = (sequence // inner * outer_stride + sequence % inner * inner_stride).to(tl.int64)
    queries = qkv + first * (3 * CHANNELS) + head * WIDTH
    keys, values = queries + CHANNELS, queries + 2 * CHANNELS
    ahead = step_stride * (3 * CHANNELS)
    r = tl.arange(0, BLOCK)
    w = tl.arange(0, WIDTH)
    rows = block * BLOCK + r
    asked = rows < steps
    q = tl.load(queries + rows[:, None] * ahead + w, mask=asked[:, None], other=0.0)
    # query r and key j are BLOCK - 1 - r + j columns from the farthest back
    column = (BLOCK - 1 - r)[:, None] + r[None, :]
    back = block * BLOCK + (BLOCK - 1) - tl.arange(0, 2 * BLOCK)
    most = tl.full([BLOCK], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    said = tl.zeros([BLOCK, WIDTH], tl.float32)
    for start in range(0, steps, BLOCK):
        there = start + r < steps
        offset = (start + r) * ahead
        k = tl.load(keys + offset[None, :] + w[:, None], mask=there[None, :], other=0.0)
        v = tl.load(values + offset[:, None] + w, mask=there[:, None], other=0.0)
        distance = tl.minimum(tl.maximum(back - start, -FARTHEST), FARTHEST) + FARTHEST
        e = tl.load(table + distance[None, :] * WIDTH + w[:, None])
        by_distance = tl.dot(q, e, input_precision=PRECISION)
        scores = tl.dot(q, k, input_precision=PRECISION) + tl.gather(by_distance, column, axis=1)
        scores = tl.where(there[None, :], scores, -float("inf"))
        larger = tl.maximum(most, tl.max(scores, axis=1))
        scores = tl.exp2(scores - larger[:, None])
        fade = tl.exp2(most - larger)
        total = total * fade + tl.sum(scores, axis=1)
        said = said * fade[:, None] + tl.dot(scores.to(v.dtype), v, input_precision=PRECISION)
        most = larger
    to = out + first * CHANNELS + head * WIDTH + (rows * (step_stride * CHANNELS))[:, None] + w
    tl.store(to, (said / total[:, None]).to(out.dtype.element_ty), mask=asked[:, None])
