"""What a training step has to compute and to move at least, and how fast the device does that."""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trnet.bench.measure import gpu_gflops, peak_gflops
from trnet.bench.train_speed import Engine

FOR_FLOPS = 8  # utterances of the batch that is counted
COPIED = {"cuda": 1 << 30, "cpu": 1 << 28}  # bytes
REPEATS = 5
OF_WEIGHTS = 8
OF_AVERAGE = 2
OF_ACTIVATIONS = 4


@dataclass(frozen=True)
class Work:
    """Of one step: floating-point operations and bytes."""

    gflop: float
    mib: float


def step_work(engine: Engine, size: int) -> Work:
    """What a step of `size` utterances has to do.

    Operations: matrix products and convolutions, forward and backward; an addition and a multiplication are two.
    Bytes: features once (read); what the layers with weights give, A bytes, 4 A (written and read in the forward pass,
    its gradient written and read in the backward pass); the weights, P bytes, 8 P (they and both moments of Adam read
    and written, the gradient written and read), and 2 P more for a moving average. Whatever else a step moves is more
    than it has to.

    Args:
        engine: One whose steps are not captured.
    """
    batch = engine.batch(FOR_FLOPS)
    model = engine.job.model.train()
    activations = 0

    def count(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal activations
        activations += output.nbytes if isinstance(output, Tensor) else 0

    layers = [module for module in model.modules() if next(iter(module.parameters(recurse=False)), None) is not None]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with FlopCounterMode(display=False) as counter:
            engine.job.step(batch)
    finally:
        for hook in hooks:
            hook.remove()
    features = sum(x.nbytes for x in (batch.noisy, batch.enhanced, batch.clean) if x is not None)
    weights = sum(p.nbytes for p in [*model.parameters(), *engine.job.losses.parameters()])
    each = (features + OF_ACTIVATIONS * activations) / FOR_FLOPS
    of_weights = OF_WEIGHTS + (OF_AVERAGE if engine.job.average is not None else 0)
    gflop = counter.get_total_flops() / FOR_FLOPS / 1e9 * size
    return Work(gflop, (each * size + of_weights * weights) / 2**20)


def matmul_gflops(device: torch.device, threads: int, precision: str) -> float:
    """GFLOP/s of products of square matrices in `precision`; on a CPU with so many threads."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return peak_gflops(threads, dtype=dtype) if device.type == "cpu" else gpu_gflops(device, dtype)


def copy_mib_per_s(device: torch.device) -> float:
    """MiB/s, read and written, of a copy within the memory of the device; the median of several."""
    source = torch.zeros(COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    rates = []
    for _ in range(REPEATS):
        if device.type == "cuda":
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            began.record()
            target.copy_(source)
            ended.record()
            torch.cuda.synchronize(device)
            seconds = began.elapsed_time(ended) / 1000
        else:
            started = time.perf_counter()
            target.copy_(source)
            seconds = time.perf_counter() - started
        rates.append(2 * len(source) / seconds / 2**20)
    return statistics.median(rates)
