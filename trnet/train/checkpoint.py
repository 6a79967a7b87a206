"""Checkpoints: state dicts and plain values only, written whole, read with weights_only."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trnet.errors import TrnetError
from trnet.files import write_bytes
from trnet.weights import misfits

FORMAT = "trnet-1"
UNREADABLE = (RuntimeError, OSError, EOFError, LookupError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    encoded = io.BytesIO()
    torch.save({"format": FORMAT, **state}, encoded)
    write_bytes(path, encoded.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote, tensors on the CPU.

    Raises: TrnetError if it is missing, cut short, or something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrnetError(f"{path}: no such checkpoint; run the training stage that writes it") from None
    except UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise TrnetError(f"{path}: is no readable checkpoint ({reason}); delete it and train again") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TrnetError(f"{path}: is not a checkpoint of trnet; delete it and train again")
    return state


def check_weights(model: nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Make sure that weights fit a model.

    Raises: TrnetError naming the keys that are missing, extra, or of another shape.
    """
    if faults := misfits(model, weights):
        raise TrnetError(f"{path}: is a checkpoint of another model ({faults}); train it with this configuration")


def load_weights(model: nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Put weights into a model, every key and shape as it must be; raises as `check_weights` does."""
    check_weights(model, weights, path)
    model.load_state_dict(weights)
