"""Reading checkpoints, other people's and trnet's own: weights only, strictly, with one-line refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.utils.errors import TrnetError
from trnet.utils.state_dict import damage_of, listed, misfits

FORMAT = "trnet-enh-1"
"""What the entry ``format`` of a checkpoint of a network trained with trnet says."""


def file_sha256(path: str | Path) -> str:
    """Digest a file.

    Args:
        path: an existing file.

    Returns:
        64 hexadecimal digits.
    """
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def files_sha256(files: Mapping[str, Path]) -> str:
    """Digest several files under names that tell them apart, wherever they lie.

    Args:
        files: name to existing file.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {file_sha256(files[name])};".encode())
    return digest.hexdigest()


def load_file(path: str | Path) -> Any:
    """Load a checkpoint with ``weights_only=True``, onto the CPU.

    Raises:
        TrnetError: no such file, not loadable with weights_only, or trnet's own and damaged.
    """
    file = Path(path)
    if not file.is_file():
        raise TrnetError(f"checkpoint {file}: no such file: give the one of its authors by --frontend-checkpoint")
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises some ten unrelated types on foreign files
        raise TrnetError(
            f"checkpoint {file}: torch.load(weights_only=True) cannot read it "
            f"({type(error).__name__}): give the file its authors publish, fetched whole"
        ) from error
    if isinstance(loaded, dict) and loaded.get("format") == FORMAT:  # others' checksums may be left out
        with open(file, "rb") as stream:
            damage = damage_of(stream)
        if damage:
            raise TrnetError(f"checkpoint {file}: is damaged ({damage}): put a whole copy of it back")
    return loaded


def state_of(
    loaded: Any, path: str | Path, entry: str | None = None, wrappers: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Take the state_dict out of a loaded checkpoint.

    Args:
        loaded: what :func:`load_file` gave.
        path: where it came from, for messages.
        entry: key of the checkpoint dict under which the state_dict lies; None: the file is one.
        wrappers: keys under one of which the state_dict may lie as well, where there is no ``entry``.

    Returns:
        Name to tensor.

    Raises:
        TrnetError: no such entry, or not one state_dict in it.
    """
    if entry is None and isinstance(loaded, dict):
        found = [key for key in wrappers if isinstance(loaded.get(key), dict)]
        if len(found) > 1:
            raise TrnetError(f"checkpoint {path}: has both {found[0]!r} and {found[1]!r}: leave one of them in it")
        entry = found[0] if found else None
    if entry is not None:
        if not isinstance(loaded, dict) or entry not in loaded:
            held = f"keys {listed(map(str, loaded))}" if isinstance(loaded, dict) else "no dict"
            raise TrnetError(f"checkpoint {path}: no entry {entry!r} in it ({held}): give the file its authors publish")
        loaded = loaded[entry]
    if (
        not isinstance(loaded, dict)
        or not loaded
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items())
    ):
        where = f"entry {entry!r}" if entry else "the file"
        raise TrnetError(
            f"checkpoint {path}: {where} is not a state_dict (names to tensors): give the file its authors publish"
        )
    return dict(loaded)


def read_state(path: str | Path, entry: str | None = None, wrappers: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """:func:`load_file`, then :func:`state_of`."""
    return state_of(load_file(path), path, entry, wrappers)


def trained_parts(loaded: Any, path: str | Path, frontend: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Take sizes and weights out of a checkpoint of a network trained with trnet.

    Such a file is a dict ``{"format": "trnet-enh-1", "frontend": registered name, "conf": sizes by name,
    "state_dict": name to tensor}`` and nothing else.

    Args:
        loaded: what :func:`load_file` gave.
        path: where it came from, for messages.
        frontend: the front-end that asks.

    Returns:
        The sizes, to build the network from, and its state_dict, for :func:`load_strict`.

    Raises:
        TrnetError: another format, the checkpoint of another front-end, or missing or unknown entries.
    """
    advice = f"give a {FORMAT} checkpoint of {frontend}"
    if not isinstance(loaded, dict) or loaded.get("format") != FORMAT:
        held = f"keys {listed(map(str, loaded))}" if isinstance(loaded, dict) else "no dict"
        if isinstance(loaded, dict) and "format" in loaded:
            held = f"format {loaded['format']!r}"
        raise TrnetError(f"checkpoint {path}: not of the format {FORMAT} ({held}): {advice}")
    wanted = ("format", "frontend", "conf", "state_dict")
    missing, extra = [k for k in wanted if k not in loaded], [str(k) for k in loaded if k not in wanted]
    faults = [f"{word} {listed(keys)}" for word, keys in (("missing", missing), ("unknown", extra)) if keys]
    if faults:
        raise TrnetError(f"checkpoint {path}: entries of {FORMAT}: {'; '.join(faults)}: {advice}")
    if loaded["frontend"] != frontend:
        raise TrnetError(f"checkpoint {path}: it is of the front-end {loaded['frontend']!r}: {advice}")
    conf = loaded["conf"]
    if not isinstance(conf, dict) or not all(isinstance(k, str) for k in conf):
        raise TrnetError(f"checkpoint {path}: entry 'conf' is no mapping of sizes: {advice}")
    return dict(conf), state_of(loaded, path, "state_dict")


def load_strict(module: nn.Module, state: dict[str, Tensor], path: str | Path) -> None:
    """Load a state_dict whose keys and shapes have to be exactly those of the module.

    Args:
        module: takes the weights.
        state: name to tensor.
        path: where ``state`` came from, for the message.

    Raises:
        TrnetError: missing, extra or misshapen keys, or weights that are not finite; the module is
            untouched then.
    """
    if faults := misfits(module, state, exact=False):
        raise TrnetError(
            f"checkpoint {path} does not fit {type(module).__name__}: {faults}: give the checkpoint of this very model"
        )
    module.load_state_dict(state, strict=True)


def has_checkpoint(name: str, checkpoint: str | Path | None, init: str | None) -> bool:
    """Whether ``frontend_conf`` names a checkpoint; False: an untrained network was asked for.

    Args:
        name: front-end name, for messages.
        checkpoint: the file, if any.
        init: ``"random"`` for an untrained network, or None.

    Raises:
        TrnetError: neither or both of the two given, or an unknown ``init``.
    """
    if init not in (None, "random"):
        raise TrnetError(f"front-end {name}: frontend_conf.init is {init!r}: the only value is 'random'")
    if checkpoint is None and init is None:
        raise TrnetError(
            f"front-end {name}: no weights: set frontend_conf.checkpoint to the file of the "
            "model's authors, or frontend_conf.init to 'random' for an untrained model"
        )
    if checkpoint is not None and init is not None:
        raise TrnetError(f"front-end {name}: frontend_conf has both checkpoint and init: leave one of them out")
    return checkpoint is not None


def load_weights(
    module: nn.Module,
    name: str,
    checkpoint: str | Path | None,
    init: str | None,
    entry: str | None = None,
    wrappers: tuple[str, ...] = (),
) -> str | None:
    """Fill a network as ``frontend_conf`` says: from ``checkpoint``, or untrained on request.

    Args:
        module: the network.
        name: front-end name, for messages.
        checkpoint: file of the model's own authors.
        init: ``"random"`` keeps the untrained weights.
        entry: as for :func:`state_of`.
        wrappers: as for :func:`state_of`.

    Returns:
        sha256 of the checkpoint file; None for an untrained network.

    Raises:
        TrnetError: neither or both of the two given, an unknown ``init``, or a bad checkpoint.
    """
    if not has_checkpoint(name, checkpoint, init):
        return None
    assert checkpoint is not None
    load_strict(module, read_state(checkpoint, entry, wrappers), checkpoint)
    return file_sha256(checkpoint)
