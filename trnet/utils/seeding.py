"""One way to seed PyTorch, so that training twice gives the same."""

import threading

import torch

from trnet.utils.random import rng_for

DRAWS = threading.RLock()
"""Of whoever draws from PyTorch's own generators, where several runs are trained in threads of one process."""


def seed_torch(*key: object) -> None:
    """Seed PyTorch's generators by `key` and ask for deterministic algorithms."""
    torch.use_deterministic_algorithms(True)
    # filling costs an eighth of a step, and nothing reads what is filled
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(int(rng_for(*key).integers(2**62)))
