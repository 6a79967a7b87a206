"""YAML read into dataclasses, where an unknown key is an error.

A YAML file may name others under ``base`` (a path or a list of paths, relative to the file): they are read first,
from left to right, and the file's own keys override theirs; a file that names another front-end than its base starts
with an empty frontend_conf.
"""

import dataclasses
import types
import typing
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml

from trnet.errors import TrnetError, nearest


def later(default: Any) -> Any:
    """A field that came after runs had been trained: with its default it is not part of what a run is made from."""
    return field(default=default, metadata={"later": True})


def merge(low: dict, high: dict) -> dict:
    """`high` over `low`, dicts inside dicts merged likewise."""
    merged = dict(low)
    for key, value in high.items():
        inner = merged.get(key)
        merged[key] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _over_base(low: dict, high: dict) -> dict:
    """`high` over its base `low`; another front-end does not inherit the options of the base's."""
    if "frontend" in low and high.get("frontend", low["frontend"]) != low["frontend"]:
        low = {key: value for key, value in low.items() if key != "frontend_conf"}
    return merge(low, high)


def read_yaml(path: Path, users: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML file's mapping, its ``base`` files merged in; `users` are the files that led here.

    Raises: TrnetError for a missing file, bad YAML, a file that is no mapping, or one that is its own base.
    """
    path = Path(path)
    if path.resolve() in users:
        raise TrnetError(f"{path}: is its own base; mend the line 'base:' there")
    try:
        own = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (FileNotFoundError, IsADirectoryError):
        raise TrnetError(f"{path}: no such configuration file; see --config") from None
    except yaml.YAMLError as error:
        raise TrnetError(f"{path}: is not YAML: {error}; mend it there") from None
    if not isinstance(own, dict):
        raise TrnetError(f"{path}: is not a YAML mapping; write 'key: value' lines")
    bases = own.pop("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise TrnetError(f"{path}: base must be a path or a list of paths, not {bases!r}; mend it there")
    merged: dict[str, Any] = {}
    for base in bases:
        merged = _over_base(merged, read_yaml(path.parent / base, (*users, path.resolve())))
    return _over_base(merged, own)


def build_value(kind: Any, value: Any, key: str) -> Any:
    """`value` as a `kind`, a dataclass, dict, list or scalar type; ValueError says which key is wrong."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"{key}: must be a mapping, not {value!r}")
        hints = typing.get_type_hints(kind)
        for name in value:
            if name not in hints:
                dotted = f"{key}.{name}" if key else name
                raise ValueError(f"unknown key '{dotted}'{nearest(str(name), list(hints))}")
        return kind(**{n: build_value(hints[n], v, f"{key}.{n}" if key else n) for n, v in value.items()})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict and isinstance(value, dict):
        return {str(k): build_value(inner[1], v, f"{key}.{k}") for k, v in value.items()}
    if origin is list and isinstance(value, list):
        return [build_value(inner[0], v, f"{key}[{i}]") for i, v in enumerate(value)]
    if kind is Any:
        return value
    if kind is float and isinstance(value, str):  # YAML 1.1 takes 1e-3 for a string
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{key}: must be of type float, not {value!r}") from None
    accepted = (int, float) if kind is float else kind
    is_bool_as_number = isinstance(value, bool) and kind is not bool
    if origin is not None or isinstance(kind, types.UnionType) or is_bool_as_number or not isinstance(value, accepted):
        raise ValueError(f"{key}: must be of type {getattr(kind, '__name__', kind)}, not {value!r}")
    return float(value) if kind is float else value


def build(kind: type, value: Any, key: str) -> Any:
    """A section of the configuration from plain values.

    Raises: TrnetError in one line for an unknown key, a wrong type or a wrong value.
    """
    try:
        return build_value(kind, value, key)
    except ValueError as error:
        raise TrnetError(f"{error}; mend it there") from None


def made_of(section: Any) -> dict[str, Any]:
    """A section as plain values, without what was added later and has its default."""
    added = {f.name: f.default for f in dataclasses.fields(section) if f.metadata.get("later")}
    return {key: value for key, value in as_dict(section).items() if key not in added or value != added[key]}


def as_dict(config: Any) -> dict[str, Any]:
    """A configuration (or a section of it) as plain JSON-able values."""
    return dataclasses.asdict(config)
