"""Checkpoints of front-ends, of other projects and of trnet: weights only, every key, errors of one line."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.utils.errors import TrnetError
from trnet.utils.stamp import file_sha256
from trnet.utils.state_dict import damage_of, misfits
from trnet.utils.text import shorten

FORMAT = "trnet-enh-1"  # the entry ``format`` of a checkpoint of a network trained with trnet


def files_sha256(files: Mapping[str, Path]) -> str:
    """SHA-256 of several files and the names given to them, wherever they lie."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {file_sha256(files[name])};".encode())
    return digest.hexdigest()


def load_file(path: str | Path) -> Any:
    """Load a checkpoint with ``weights_only=True`` onto the CPU.

    Raises:
        TrnetError: If it is missing or damaged.
    """
    file = Path(path)
    if not file.is_file():
        raise TrnetError(f"checkpoint {file}: no such file: give the authors' checkpoint by --frontend-checkpoint")
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises some ten unrelated types
        raise TrnetError(
            f"checkpoint {file}: torch.load(weights_only=True) cannot read it ({type(error).__name__}): give a "
            "complete copy of the authors' file"
        ) from error
    if isinstance(loaded, dict) and loaded.get("format") == FORMAT:  # others may lack checksums
        with open(file, "rb") as stream:
            damage = damage_of(stream)
        if damage:
            raise TrnetError(f"checkpoint {file}: is damaged ({damage}): restore it from a copy")
    return loaded


def state_of(
    loaded: Any, path: str | Path, entry: str | None = None, wrappers: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """The state_dict in what :func:`load_file` returned.

    ``entry`` is its key there; None: the checkpoint is one, or has it under one of ``wrappers``.

    Raises:
        TrnetError: If the entry is missing or no state_dict.
    """
    if entry is None and isinstance(loaded, dict):
        found = [key for key in wrappers if isinstance(loaded.get(key), dict)]
        if len(found) > 1:
            raise TrnetError(f"checkpoint {path}: has both {found[0]!r} and {found[1]!r}: remove one of them")
        entry = found[0] if found else None
    if entry is not None:
        if not isinstance(loaded, dict) or entry not in loaded:
            raise TrnetError(f"checkpoint {path}: no entry {entry!r} ({_content(loaded)}): give the authors' file")
        loaded = loaded[entry]
    state = loaded if isinstance(loaded, dict) else {}
    if not state or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        where = f"entry {entry!r}" if entry else "the file"
        raise TrnetError(f"checkpoint {path}: {where} is not a state_dict (names to tensors): give the authors' file")
    return dict(state)


def read_state(path: str | Path, entry: str | None = None, wrappers: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """:func:`load_file`, then :func:`state_of`."""
    return state_of(load_file(path), path, entry, wrappers)


def trained_parts(loaded: Any, path: str | Path, frontend: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Network configuration and state_dict of a checkpoint of a network trained with trnet.

    Such a file is a dict ``{"format": "trnet-enh-1", "frontend": registered name, "conf": network configuration,
    "state_dict": name to tensor}`` and nothing else.

    Raises:
        TrnetError: If it has another format, is of another front-end, or entries are missing or unknown.
    """
    advice = f"give a {FORMAT} checkpoint of {frontend}"
    if not isinstance(loaded, dict) or loaded.get("format") != FORMAT:
        raise TrnetError(f"checkpoint {path}: not of the format {FORMAT} ({_content(loaded)}): {advice}")
    if faults := mismatch(("format", "frontend", "conf", "state_dict"), loaded):
        raise TrnetError(f"checkpoint {path}: entries of {FORMAT}: {faults}: {advice}")
    if loaded["frontend"] != frontend:
        raise TrnetError(f"checkpoint {path}: it is of the front-end {loaded['frontend']!r}: {advice}")
    conf = loaded["conf"]
    if not isinstance(conf, dict) or not all(isinstance(k, str) for k in conf):
        raise TrnetError(f"checkpoint {path}: entry 'conf' is no mapping: {advice}")
    return dict(conf), state_of(loaded, path, "state_dict")


def mismatch(wanted: tuple[str, ...], found: Mapping[Any, Any]) -> str:
    """Keys that are missing or unknown, in words; empty if there are none."""
    missing, unknown = [k for k in wanted if k not in found], [str(k) for k in found if k not in wanted]
    return "; ".join(f"{word} {shorten(keys)}" for word, keys in (("missing", missing), ("unknown", unknown)) if keys)


def _content(loaded: Any) -> str:
    """What a checkpoint holds, for messages."""
    if not isinstance(loaded, dict):
        return "no dict"
    return f"format {loaded['format']!r}" if "format" in loaded else f"keys {shorten(map(str, loaded))}"


def load_strict(module: nn.Module, state: dict[str, Tensor], path: str | Path) -> None:
    """Load a state_dict of exactly the module's keys and shapes, finite; else TrnetError, the module is unchanged."""
    if faults := misfits(module, state, exact=False):
        raise TrnetError(
            f"checkpoint {path} does not fit {type(module).__name__}: {faults}: give a checkpoint of this model"
        )
    module.load_state_dict(state, strict=True)


def checkpoint_path(name: str, checkpoint: str | None, init: str | None) -> str | None:
    """The checkpoint that ``frontend_conf`` names; None for ``init: random``; TrnetError for both or neither."""
    if init not in (None, "random"):
        raise TrnetError(f"front-end {name}: frontend_conf.init is {init!r}: the only value is 'random'")
    if checkpoint is None and init is None:
        raise TrnetError(
            f"front-end {name}: no weights: set frontend_conf.checkpoint to the authors' file, or frontend_conf.init "
            "to 'random' for an untrained model"
        )
    if checkpoint is not None and init is not None:
        raise TrnetError(f"front-end {name}: frontend_conf has both checkpoint and init: remove one of them")
    return checkpoint
