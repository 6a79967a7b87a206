"""The GPU, set up before its first use."""

import os

import torch


def gpu(number: int = 0) -> torch.device:
    """A GPU on which float32 is float32 and results can be deterministic.

    cuBLAS reads its workspace's size at its first call in a process; cuDNN rounds to TensorFloat-32 unless told not to.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda", number)
