"""Attention with relative positions in one kernel: scores, softmax and values of a block of queries stay in registers.

Scores of positions are q . E of all distances that occur between a block of queries and a block of keys, twice as many
as keys; row i of them is shifted by i (Huang et al., "Music Transformer", 2019). The shift is a gather among registers.
In bf16, along time at 801 frames, a token's queries, keys, values and result are 512 bytes; scores of positions that
are written to memory and read again would be another 14.6 KB. In return 128 operations are computed for each pair of
steps instead of 105.
"""

import triton
import triton.language as tl


@triton.jit
def heard(
    q,  # (BLOCK, WIDTH)
    keys,  # where the first key is, and the first value
    values,
    table,
    ahead,  # from one step to the next
    start,  # the first key of the block
    steps,
    back,  # (2 * BLOCK,) distances to key 0, from the farthest back
    column,  # (BLOCK, BLOCK) of the distance between a query and a key
    most,  # (BLOCK,) the largest score of each query so far, the sum of powers, and of values times them
    total,
    said,
    WIDTH: tl.constexpr,
    FARTHEST: tl.constexpr,
    BLOCK: tl.constexpr,
    PRECISION: tl.constexpr,
    WHOLE: tl.constexpr,  # no key is past the last step
):
    """What queries have heard, with one more block of keys."""
    j = tl.arange(0, BLOCK)
    w = tl.arange(0, WIDTH)
    there = start + j < steps
    offset = (start + j) * ahead
    if WHOLE:
        k = tl.load(keys + offset[None, :] + w[:, None])
        v = tl.load(values + offset[:, None] + w)
    else:
        k = tl.load(keys + offset[None, :] + w[:, None], mask=there[None, :], other=0.0)
        v = tl.load(values + offset[:, None] + w, mask=there[:, None], other=0.0)
    distance = tl.minimum(tl.maximum(back - start, -FARTHEST), FARTHEST) + FARTHEST
    e = tl.load(table + distance[None, :] * WIDTH + w[:, None])
    by_distance = tl.dot(q, e, input_precision=PRECISION)
    scores = tl.dot(q, k, tl.gather(by_distance, column, axis=1), input_precision=PRECISION)
    if not WHOLE:
        scores = tl.where(there[None, :], scores, -float("inf"))
    larger = tl.maximum(most, tl.max(scores, axis=1))
    scores = tl.exp2(scores - larger[:, None])
    fade = tl.exp2(most - larger)
    total = total * fade + tl.sum(scores, axis=1)
    said = tl.dot(scores.to(v.dtype), v, said * fade[:, None], input_precision=PRECISION)
    return larger, total, said


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
    asked = (rows < steps)[:, None]
    q = tl.load(queries + rows[:, None] * ahead + w, mask=asked, other=0.0)
    # query r and key j are BLOCK - 1 - r + j columns from the farthest back
    column = (BLOCK - 1 - r)[:, None] + r[None, :]
    back = block * BLOCK + (BLOCK - 1) - tl.arange(0, 2 * BLOCK)
    most = tl.full([BLOCK], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    said = tl.zeros([BLOCK, WIDTH], tl.float32)
    whole = steps // BLOCK * BLOCK
    for start in range(0, whole, BLOCK):
        most, total, said = heard(
            q, keys, values, table, ahead, start, steps, back, column, most, total, said,
            WIDTH, FARTHEST, BLOCK, PRECISION, True,
        )  # fmt: skip
    if whole < steps:
        most, total, said = heard(
            q, keys, values, table, ahead, whole, steps, back, column, most, total, said,
            WIDTH, FARTHEST, BLOCK, PRECISION, False,
        )  # fmt: skip
    to = out + first * CHANNELS + head * WIDTH + (rows * (step_stride * CHANNELS))[:, None] + w
    tl.store(to, (said / total[:, None]).to(out.dtype.element_ty), mask=asked)
