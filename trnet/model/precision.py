"""What is computed in float32 whatever the precision of the rest."""

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """x in float32; in float64 if it is (which is to check derivations, not to train)."""
    return x if x.dtype == torch.float64 else x.float()


def as_type(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x in a type, itself if it has it: a `to` without effect loses gradients in a compiled Function (PyTorch 2.11)."""
    return x if x.dtype == dtype else x.to(dtype)
