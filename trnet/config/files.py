"""A YAML file of settings and the files that it is based on.

A YAML file may name others under ``base`` (a path or a list of paths, relative to the file): they are read first,
from left to right, and the file's own keys override theirs. A file that names another front-end than its base starts
with an empty frontend_conf, and one that names another ``type`` of a part without the base's options of that part.
"""

from pathlib import Path
from typing import Any

from trnet.config.yaml_files import read_mapping
from trnet.utils.errors import TrnetError

MOST_BASES = 20  # below each other
PARTS = ("features", "encoder", "pooling")
ALIKE = {"residual", "plain"}  # have the same options


def read_settings(path: Path, users: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML file's mapping, its ``base`` files merged in; `users` are the files that led here.

    Raises TrnetError for a missing file, bad YAML, a file that is no mapping, or one that is its own base.
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
    """Settings `high` over `low`; another front-end or part does not inherit the options of the one in `low`."""
    low = dict(low)
    if "frontend" in low and high.get("frontend", low["frontend"]) != low["frontend"]:
        low.pop("frontend_conf", None)
    for part in PARTS:
        old, new = (_type(settings.get(part)) for settings in (low, high))
        if part in low and new not in (None, old) and {old, new} != ALIKE:
            del low[part]
    return _merged(low, high)


def _type(part: Any) -> Any:
    """The type that settings name for a part; None where they name none."""
    if isinstance(part, str):
        return part
    return part.get("type") if isinstance(part, dict) and "type" in part else None


def _merged(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
