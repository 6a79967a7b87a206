"""One way to seed PyTorch, so that what is trained twice comes out the same."""

import torch

from trnet.noise.assign import rng_for


def seed_torch(*key: object) -> None:
    """Seed PyTorch's generators by `key` and ask for deterministic algorithms."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # it costs an eighth of a step, and nothing reads it
    torch.manual_seed(int(rng_for(*key).integers(2**62)))
