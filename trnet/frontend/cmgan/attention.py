"""Attention with relative positions for inference: on a CPU in C++ or by PyTorch, and on a GPU by its fused kernels.

The results are those of :class:`trnet.frontend.cmgan.conformer.RelativeAttention`. Scores of positions are q . E^T for
all distances in a block of queries, read with a skew: row i is shifted by i (Huang et al., "Music Transformer", 2019).
A block of scores stays in the cache.
"""

from ctypes import CDLL, c_size_t, c_void_p
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from trnet.frontend.cmgan.conformer import FARTHEST
from trnet.utils.compiler import load

SOURCE = Path(__file__).with_name("attention.cpp")
WIDTH = 16  # width of a head in ``attention.cpp``
EDGE = 96
"""Extra distances at both ends of a table of positions, for blocks that are not full: at most ROWS - 1 here, in C++
with the widest registers 11 at one end and 73 at the other."""
ROWS = 64  # largest number of queries in a block of scores
SCORES = 2**18  # scores in a block, 1 MiB: more miss the second-level cache, fewer cost more Python calls
MOST_BITS = 100.0  # a softmax of scores within this bound, in bits, needs no subtraction of the largest one
FUSED_ROWS, FUSED_SCORES = 256, 2**27  # ROWS and SCORES on a GPU: half a GiB of scores of positions
ALIGNED = 16  # rows of a bias begin at multiples of so many values; otherwise PyTorch's fused attention copies it


def position_table(embedding: Tensor, steps: int) -> Tensor:
    """Embeddings (distances, width) of -512..512 steps as columns, from the farthest back: (width, distances)."""
    distance = torch.arange(_zero(steps), -steps - EDGE, -1).clamp_(-FARTHEST, FARTHEST)
    return embedding[distance + FARTHEST].t().contiguous()


def attend(qkv: Tensor, table: Tensor) -> Tensor:
    """Attention with relative positions: (sequences, steps, heads, width) of queries, keys and values.

    ``qkv`` is (sequences, steps, 3, heads, width), queries scaled so that scores are in bits; ``table`` (width,
    distances), see :func:`position_table`.
    """
    library = load(SOURCE) if qkv.shape[-1] == WIDTH else None
    if library is None:
        q, k, v = qkv.permute(2, 0, 3, 1, 4).flatten(1, 2).contiguous().unbind(0)  # (sequences * heads, steps, width)
        return attend_in_blocks(q, k, v, table).unflatten(0, (len(qkv), -1)).transpose(1, 2)
    return _attend_compiled(library, qkv, table)


def _attend_compiled(library: CDLL, qkv: Tensor, table: Tensor) -> Tensor:
    """The same by ``attention.cpp``."""
    sequences, steps, three, heads, width = qkv.shape
    assert three == 3 and width == len(table) == WIDTH
    assert qkv.is_contiguous() and table.is_contiguous() and qkv.dtype == table.dtype == torch.float32
    out = qkv.new_empty(sequences, steps, heads, width)
    sizes = (sequences, steps, heads, table.shape[1], _zero(steps))
    pointers = (c_void_p(tensor.data_ptr()) for tensor in (qkv, table, out))
    failed = library.attend(*pointers, *map(c_size_t, sizes))
    if failed == 1:
        raise MemoryError(f"{SOURCE.name}: no memory for a block of scores")
    if failed:
        raise ValueError(f"{SOURCE.name}: a table of {table.shape[1]} distances is too short for {steps} steps")
    return out


def attend_in_blocks(q: Tensor, k: Tensor, v: Tensor, table: Tensor) -> Tensor:
    """Attention with relative positions by PyTorch, a block of scores at a time, of q, k, v (maps, steps, width).

    `q` is scaled so that scores are in bits; a map is one head of one sequence; `table` as for :func:`attend`.
    """
    maps, steps, width = q.shape
    rows = _rows(steps)
    together = max(1, min(maps, SCORES // (rows * steps)))
    by_distance, scores = q.new_empty(together * rows * (steps + rows - 1)), q.new_empty(together * rows * steps)
    small = bool(_longest(q, 2) * (_longest(k, 2) + _longest(table, 0)) < MOST_BITS)  # Cauchy and Schwarz
    out = torch.empty_like(q)
    for target, group, keys, values in zip(*(t.split(together) for t in (out, q, k.transpose(1, 2), v)), strict=True):
        start, count = 0, len(group)
        for queries in group.split(rows, dim=1):
            size = queries.shape[1]
            span = steps + size - 1  # distances of these queries
            farthest = _zero(steps) - (start + size - 1)  # column of the farthest back
            block = by_distance[: count * size * span].view(-1, span)
            torch.mm(queries.reshape(-1, width), table[:, farthest : farthest + span], out=block)
            # query i and key j in column size - 1 - i + j
            skewed = by_distance.as_strided((count, size, steps), (size * span, span - 1, 1), size - 1)
            weights = scores[: count * size * steps].view(count, size, steps)
            torch.baddbmm(skewed, queries, keys, out=weights)
            if not small:
                weights -= weights.amax(dim=2, keepdim=True)
            torch.exp2(weights, out=weights)
            weighted = torch.bmm(weights, values)
            torch.div(weighted, weights.sum(dim=2, keepdim=True), out=target[:, start : start + size])
            start += size
    return out


def _longest(x: Tensor, dim: int) -> Tensor:
    """The largest norm of vectors along a dimension."""
    return torch.linalg.vector_norm(x, dim=dim).max()


def _zero(steps: int) -> int:
    """The column of a table of positions that is distance 0."""
    return steps - 1 + EDGE


def _rows(steps: int) -> int:
    """Queries in a block of scores: blocks of about one size."""
    blocks = -(-steps // ROWS)
    return -(-steps // blocks)


def fused_attend(embedding: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention with relative positions by PyTorch's fused kernels, with the scores of positions as a bias.

    `embedding` (distances, width) is of -512..512 steps; q, k, v and the result are (batch, heads, steps, width).
    """
    batch, heads, steps, width = q.shape
    scale = width**-0.5
    rows = min(steps, FUSED_ROWS)
    together = max(1, FUSED_SCORES // (heads * rows * (steps + rows)))
    distance = torch.arange(steps - 1, -steps, -1, device=q.device).clamp_(-FARTHEST, FARTHEST)
    table = embedding[distance + FARTHEST].to(q.dtype).t()  # (width, 2 * steps - 1)
    out = torch.empty_like(q)
    for first in range(0, batch, together):
        group = slice(first, first + together)
        for start in range(0, steps, rows):
            queries = q[group, :, start : start + rows]
            count, _, size, _ = queries.shape
            span = steps + size - 1
            farthest = steps - start - size  # column of the distance of the last query to the first key
            by_distance = ((queries * scale) @ table[:, farthest : farthest + span]).contiguous()
            strides = (heads * size * span, size * span, span - 1, 1)
            skewed = by_distance.as_strided((count, heads, size, steps), strides, size - 1)
            bias = by_distance.new_empty(count, heads, size, -(-steps // ALIGNED) * ALIGNED)[..., :steps].copy_(skewed)
            out[group, :, start : start + rows] = functional.scaled_dot_product_attention(
                queries, k[group], v[group], attn_mask=bias, scale=scale
            )
    return out
