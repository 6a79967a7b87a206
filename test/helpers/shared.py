"""What tests need that is not everywhere: the shared pack of audio, checkpoints and reference outputs; a compiler."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")


def shared(*parts: str) -> Path:
    """Path of something in the shared folder; skip the test where it is absent.

    The folder is ``$TRNET_SHARED`` if that is set, else ``shared`` beside the checkout.

    Args:
        parts: path inside the folder, for example ``"parity", "gtcrn_vctk.pt"``.
    """
    root = os.environ.get("TRNET_SHARED") or Path(__file__).resolve().parents[3] / "shared"
    path = Path(root, *parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)} of the shared folder: set TRNET_SHARED to it")
    return path
