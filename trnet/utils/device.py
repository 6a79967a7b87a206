"""The GPU, set up before its first use, and what is sent there."""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from trnet.utils.errors import GPU_FAILURES

Item = TypeVar("Item")
Result = TypeVar("Result")


def gpu(number: int = 0) -> torch.device:
    """A GPU on which float32 is float32 and results can be deterministic.

    cuBLAS reads its workspace's size at its first call in a process; cuDNN rounds to TensorFloat-32 unless it may not.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda", number)


def send(x: Tensor, device: torch.device) -> Tensor:
    """x on a device; from the host to a GPU asynchronously, through pinned memory."""
    if device.type == "cuda" and x.device.type == "cpu" and not x.is_pinned():
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


def is_device_error(error: BaseException | None) -> bool:
    """Whether the GPU itself failed, after which a process can compute nothing more there."""
    if error is None or isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error):
        return False
    kind = getattr(torch, "AcceleratorError", None)  # not in PyTorch 2.6
    if (kind is not None and isinstance(error, kind)) or any(text in str(error) for text in GPU_FAILURES):
        return True
    return is_device_error(error.__cause__) or is_device_error(error.__context__)


def in_halves(compute: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
    """``compute(items)``, or, where a GPU's memory holds no more, what it gives for their halves, one after the other.

    Raises:
        torch.OutOfMemoryError: If one item alone does not fit.
    """
    try:
        return compute(items)
    except torch.OutOfMemoryError:
        if len(items) == 1:
            raise
    half = len(items) // 2  # here, where the exception no longer holds the tensors of what failed
    return [*in_halves(compute, items[:half]), *in_halves(compute, items[half:])]


def fetch(x: Tensor) -> Callable[[], Tensor]:
    """Begin to bring x to the host; what is returned waits for it, in any thread, and gives it."""
    if x.device.type != "cuda":
        return lambda: x.cpu()
    here = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    here.copy_(x, non_blocking=True)
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(x.device))

    def waited() -> Tensor:
        done.synchronize()
        return here

    return waited
