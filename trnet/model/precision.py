"""What is computed in float32 whatever the precision of the rest."""

import torch
from torch import Tensor


def full(x: Tensor) -> Tensor:
    """x in float32; in float64 if it is (which is to check derivations, not to train)."""
    return x if x.dtype == torch.float64 else x.float()
