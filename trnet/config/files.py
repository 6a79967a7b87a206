"""A YAML file of settings and the files that it is based on.

A YAML file may name others under ``base`` (a path or a list of paths, relative to the file): they are read first,
from left to right, and the file's own keys override theirs. Four things are not inherited: the frontend_conf of
another front-end, the options of a part of another ``type``, those of folds of another ``kind``, and `alpha` and `beta`
of a system whose losses the file lists.
"""

from pathlib import Path
from typing import Any

from trnet.config.yaml_files import read_mapping
from trnet.utils.errors import TrnetError

MOST_BASES = 20  # below each other
PARTS = {"features": "fbank", "encoder": "residual", "pooling": "attention"}  # and their types where none is given
ALIKE = {"residual", "plain"}  # have the same options


def read_settings(path: Path, users: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML file's mapping, its ``base`` files merged in; `users` are the files that led here.

    Raises:
        TrnetError: For a missing file, bad YAML, a file that is no mapping, or one that is its own base.
    """
    path = Path(path)
    if path.resolve() in users:
        raise TrnetError(f"{path}: is its own base; mend the line 'base:' there")
    if len(users) == MOST_BASES:
        raise TrnetError(f"{path}: is the base of a base of a base..., {MOST_BASES} times; leave some out")
    own = read_mapping(path, "configuration file")
    bases = own.pop("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise TrnetError(f"{path}: base must be a path or a list of paths, not {bases!r}; mend it there")
    merged: dict[str, Any] = {}
    for base in bases:
        merged = merge(merged, read_settings(path.parent / base, (*users, path.resolve())))
    return merge(merged, own)


def merge(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    """Settings `high` over `low`; another front-end, part or kind of folds inherits no options of the one in `low`."""
    low = dict(low)
    if "frontend" in low and high.get("frontend", low["frontend"]) != low["frontend"]:
        low.pop("frontend_conf", None)
    high = dict(high)
    low = _without_weights(low, high)
    for part, default in PARTS.items():
        low |= {part: _written_out(low[part])} if part in low else {}
        high |= {part: _written_out(high[part])} if part in high else {}
        old, new = (_type(settings.get(part), default) for settings in (low, high))
        if part in low and isinstance(high.get(part), dict) and "type" in high[part]:
            if old != new and {old, new} != ALIKE:
                del low[part]
    folds, above = low.get("folds"), high.get("folds")
    if isinstance(folds, dict) and isinstance(above, dict) and "kind" in above:
        if above["kind"] != folds.get("kind", "speakers"):
            del low["folds"]
    return _merged(low, high)


def _without_weights(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    """Settings without `alpha` and `beta` of systems for which `high` lists the losses."""
    systems, above = low.get("systems"), high.get("systems")
    if not isinstance(systems, dict) or not isinstance(above, dict):
        return low
    listed = {name for name, system in above.items() if isinstance(system, dict) and system.get("losses")}
    kept = {
        name: {key: value for key, value in system.items() if key not in ("alpha", "beta")}
        if name in listed and isinstance(system, dict)
        else system
        for name, system in systems.items()
    }
    return low | {"systems": kept}


def _written_out(part: Any) -> Any:
    """A part's mapping, where only its type is given."""
    return {"type": part} if isinstance(part, str) else part


def _type(part: Any, default: str) -> Any:
    """The type of a part, `default` where settings name none."""
    return part.get("type", default) if isinstance(part, dict) else default


def _merged(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
