"""Checkpoints: state dicts and plain values only, written whole, read with weights_only and checked entry by entry."""

import io
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.utils.errors import TrnetError, first_line
from trnet.utils.files import read_bytes, write_bytes
from trnet.utils.state_dict import damage_of, misfits

FORMAT = "trnet-1"
LARGEST = 1 << 36  # bytes
LARGEST_NUMBER = 1e300


def way_out(path: Path) -> str:
    """What to do about a file of a run that cannot be used; nothing is lost by it, and it works for each of them."""
    return f"put a whole copy of it back, or move the folder {Path(path).parent} elsewhere and train again"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    encoded = io.BytesIO()
    torch.save({"format": FORMAT, **state}, encoded)
    write_bytes(path, encoded.getvalue())


def load_checkpoint(path: Path, *needed: str, columns: Collection[str] = ()) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote, tensors on the CPU.

    `needed`: entries that must be there. `columns`: numbers that each row of the entry ``history`` must have.

    Raises:
        TrnetError: If it is missing, damaged (every byte is under a checksum), something else, or an entry is.
    """
    try:
        content = io.BytesIO(read_bytes(path, LARGEST))
    except FileNotFoundError:
        raise TrnetError(f"{path}: no such checkpoint; run the training stage that writes it") from None
    if damage := damage_of(content):
        raise TrnetError(f"{path}: is no readable checkpoint ({damage}); {way_out(path)}")
    content.seek(0)
    try:
        state = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises some ten unrelated types
        raise TrnetError(f"{path}: is no readable checkpoint ({first_line(error)}); {way_out(path)}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TrnetError(f"{path}: is not a checkpoint of trnet; {way_out(path)}")
    absent = [name for name in needed if name not in state]
    odd = [name for name, fits in FORMS.items() if name in state and not fits(state[name])]
    if absent or odd:
        raise TrnetError(f"{path}: entry '{[*absent, *odd][0]}' is missing or damaged; {way_out(path)}")
    for column in columns:
        if not all(_is_number(row.get(column)) for row in state["history"]):
            raise TrnetError(f"{path}: '{column}' is missing in the history or no number; {way_out(path)}")
    return state


def _is_number(value: Any) -> bool:
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return is_one and (value != value or abs(value) < LARGEST_NUMBER)  # NaN: a score that is not defined


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _is_history(value: Any) -> bool:
    """A list of rows of numbers by name, of the epochs from 1 on."""
    return (
        isinstance(value, list)
        and all(isinstance(row, dict) for row in value)
        and all(row.get("epoch") == epoch for epoch, row in enumerate(value, 1))
        and all(isinstance(key, str) for row in value for key in row)
        and all(cell is None or _is_number(cell) for row in value for cell in row.values())
    )


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


FORMS: dict[str, Callable[[Any], bool]] = {
    "model": _is_state_dict,
    "average": _is_state_dict,
    "ctc": _is_state_dict,
    "losses": _is_state_dict,
    "config": lambda value: isinstance(value, dict),
    "optimizer": lambda value: isinstance(value, dict),
    "scheduler": lambda value: isinstance(value, dict),
    "method": lambda value: isinstance(value, dict),
    "history": _is_history,
    "epoch": _is_count,
    "steps": _is_count,
    "classes": _is_names,
    "trained_with": _is_names,
    "versions": lambda value: isinstance(value, str),
}
"""Entries of checkpoints, by what their values have to be."""


def check_weights(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Make sure that weights fit a model.

    Raises:
        TrnetError: Naming keys that are missing, extra, or misshapen.
    """
    if faults := misfits(model, weights):
        raise TrnetError(f"{path}: is a checkpoint of another model ({faults}); {way_out(path)}")


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a model, every key and shape as it must be; raises as `check_weights` does."""
    check_weights(model, weights, path)
    model.load_state_dict(weights)


def load_part(part: Any, state: Any, path: Path, name: str) -> None:
    """Put the state of an optimizer or a schedule back.

    Raises:
        TrnetError: If it is of another network, or damaged.
    """
    try:
        part.load_state_dict(state)
        if isinstance(part, torch.optim.Optimizer):
            _check_moments(part)
    except Exception as error:  # PyTorch raises whatever it stumbles over
        raise TrnetError(f"{path}: entry '{name}' does not fit ({first_line(error)}); {way_out(path)}") from None


def _check_moments(optimizer: torch.optim.Optimizer) -> None:
    """Adam's moments are of the shapes of the weights; ValueError if not."""
    for group in optimizer.param_groups:
        if not (_is_number(group["lr"]) and group["lr"] >= 0):  # which NaN is not
            raise ValueError("the learning rate is no number")
        for parameter in group["params"]:
            moments = optimizer.state.get(parameter)
            if not moments:
                continue  # without a gradient so far
            if any(moments[key].shape != parameter.shape for key in ("exp_avg", "exp_avg_sq")):
                raise ValueError("moments of other shapes than the weights")
            if moments["step"].numel() != 1:
                raise ValueError("the count of steps is none")
