"""What CMGAN's network moves and computes on a GPU, and its attention computed in several ways."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from trnet.bench.on_gpu import kernel_times, time_passes
from trnet.frontend import build_frontend
from trnet.frontend.cmgan.attention import fused_attend
from trnet.frontend.cmgan.conformer import FARTHEST, HEADS
from trnet.frontend.cmgan.network import DEPTH, TscNet
from trnet.frontend.cmgan.spectral import BINS, HOP, RATE
from trnet.utils.compiled import compile_cache

CHANNELS, CONFORMERS = 64, 8
WIDTH = CHANNELS // HEADS
BLOCKS = ((16, 1), (32, 1), (32, 2), (64, 4))  # queries of a block and warps of its program, to compare


def moved_bytes(seconds: float, precision: str) -> float:
    """Bytes that the kernels of ``cmgan/gpu.py`` read and write for a clip, each tensor once a kernel."""
    frames = math.ceil(seconds * RATE / HOP) + 1
    size = 2 if precision == "bf16" else 4  # of a value, but in the residual stream of conformers, float32
    one, full = CHANNELS * size, CHANNELS * 4  # bytes of a token
    bins, bands = frames * BINS, frames * (BINS // 2 + 1)
    dense = one * (DEPTH * (DEPTH + 1) // 2 + DEPTH + 2 * DEPTH)  # maps in, out, through the norms
    encoder = bins * (3 * 4 + 3 * one + dense + one) + bands * (2 * one + full)
    conformer = bands * (7 * full + 12 * one)
    decoders = bands * (full + one + 2 * dense + one + 64 + 3 * one + 2 * (one + 64)) + bins * 16
    return encoder + CONFORMERS * conformer + decoders


def attention_ways(seconds: float, device: torch.device) -> list[dict[str, Any]]:
    """Ms of attention along the time of a clip, by precision and way, and its difference from float64.

    The ways are the Triton kernel with blocks of several sizes, FlexAttention compiled with the scores of positions in
    memory, and PyTorch's fused attention with them as a bias.
    """
    frames, bands = round(seconds * RATE / HOP) + 1, BINS // 2 + 1
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(bands, frames, 3, HEADS, WIDTH, generator=generator).to(device)
    embedding = torch.randn(2 * FARTHEST + 1, WIDTH, generator=generator).to(device)
    compile_cache()
    wanted = _by_hand(qkv[:1].double(), embedding.double())
    rows = []
    for precision in ("float32", "bf16"):
        for name, make in _ways(precision).items():
            began = time.perf_counter()
            row: dict[str, Any] = {"precision": precision, "way": name}
            try:
                kind = torch.bfloat16 if precision == "bf16" else torch.float32
                attend = make(qkv.to(kind), embedding.to(kind))
                _, taken, out = time_passes(attend, 5, device)
                off = (out[:1].double() - wanted).norm() / wanted.norm()
                row |= {"ms": 1000 * sorted(taken)[2], "difference": float(off)}
            except Exception as error:  # of a compiler: the row says so
                row["failed"] = (str(error).strip().splitlines() or [type(error).__name__])[0]
            rows.append(row | {"with_compilation_s": time.perf_counter() - began})
            print(rows[-1], flush=True)
    return rows


Way = Callable[[Tensor, Tensor], Callable[[], Tensor]]


def _ways(precision: str) -> dict[str, Way]:
    """Ways of attention of (sequences, steps, 3, heads, width), to (sequences, heads, steps, width)."""
    kernels = {f"kernel, {rows} queries, {warps} warps": _kernel(rows, warps, precision) for rows, warps in BLOCKS}
    return kernels | {"flex": _flex, "fused with a bias": _biased}


def _kernel(block: int, warps: int, precision: str) -> Way:
    def make(qkv: Tensor, embedding: Tensor) -> Callable[[], Tensor]:
        from trnet.frontend.cmgan import gpu  # needs Triton
        from trnet.frontend.cmgan.kernels.attention import attend

        sequences, steps = qkv.shape[:2]
        # along time bands lie side by side
        tokens = qkv.transpose(0, 1).contiguous()
        tokens[:, :, 0] *= WIDTH**-0.5 * math.log2(math.e)
        out = torch.empty(steps, sequences, HEADS, WIDTH, dtype=qkv.dtype, device=qkv.device)

        def work() -> Tensor:
            attend[(sequences * HEADS * -(-steps // block),)](
                *(tokens, embedding, out, steps, sequences, steps * sequences, 1, sequences),
                *(HEADS, WIDTH, FARTHEST, block, gpu.KINDS[precision][1]),
                num_warps=warps,
            )
            return out.permute(1, 2, 0, 3)

        return work

    return make


def _flex(qkv: Tensor, embedding: Tensor) -> Callable[[], Tensor]:
    q, k, v = (x.transpose(1, 2).contiguous() for x in qkv.unbind(2))
    compiled = torch.compile(flex_attention)

    def work() -> Tensor:
        positions = (q @ embedding.t()) * WIDTH**-0.5

        def score(given: Tensor, batch: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
            return given + positions[batch, head, row, (row - column).clamp(-FARTHEST, FARTHEST) + FARTHEST]

        out = compiled(q, k, v, score_mod=score)
        assert isinstance(out, Tensor)
        return out

    return work


def _biased(qkv: Tensor, embedding: Tensor) -> Callable[[], Tensor]:
    q, k, v = (x.transpose(1, 2).contiguous() for x in qkv.unbind(2))
    return lambda: fused_attend(embedding, q, k, v)


def _by_hand(qkv: Tensor, embedding: Tensor) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in qkv.unbind(2))
    at = torch.arange(qkv.shape[1], device=qkv.device)
    distance = (at[:, None] - at).clamp(-FARTHEST, FARTHEST) + FARTHEST
    scores = q @ k.transpose(2, 3) + torch.einsum("bhqd,qnd->bhqn", q, embedding[distance])
    return (scores * WIDTH**-0.5).softmax(dim=3) @ v


def kernels_of(precision: str, clips: int, seconds: float, device: torch.device) -> list[dict[str, Any]]:
    """The kernels of one pass of CMGAN, by their time; ``precision`` "plain": of the network as it is written."""
    conf = {"fast": False} if precision == "plain" else {"precision": precision}
    torch.manual_seed(0)
    frontend = build_frontend({"frontend": "cmgan", "frontend_conf": {"init": "random", **conf}}).to(device)
    assert isinstance(frontend.network, TscNet)
    wav = 0.1 * torch.randn(clips, round(seconds * RATE), device=device)
    frontend.enhance(wav)
    return kernel_times(lambda: frontend.enhance(wav))
