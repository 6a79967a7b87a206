"""trnet: noise-robust speech emotion recognition with a speech-enhancement front-end (TRNet)."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`trnet.Predictor`, found when it is asked for, as it brings PyTorch."""
    if name == "Predictor":
        from trnet.deploy.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'trnet' has no attribute '{name}'")
