"""Random draws that depend on a key alone."""

import hashlib

import numpy as np


def rng_for(*key: object) -> np.random.Generator:
    """A random generator that depends on `key` alone (seed, ids, purpose)."""
    words = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return np.random.default_rng(np.frombuffer(words, dtype=np.uint32))
