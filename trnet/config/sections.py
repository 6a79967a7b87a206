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

from trnet.config.yaml_files import read_mapping
from trnet.utils.errors import TrnetError, nearest
from trnet.utils.numbers import real, shown, whole

KINDS = {bool: "true or false", str: "a text", list: "a list", dict: "a mapping", types.NoneType: "null"}
MOST_BASES = 20  # below each other


def within(default: Any, low: float, high: float, later: bool = False) -> Any:
    """A field for a number, or a list of them, from `low` to `high`.

    Args:
        default: Its value where none is given; a list is copied.
        low: Smallest value.
        high: Largest value.
        later: The field came after runs had been trained: with its default it is not part of what a run is made from.
    """
    metadata = {"within": (low, high), "later": later}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def one_of(default: Any, *others: Any, later: bool = False) -> Any:
    """A field for one of a few values; `later` as in :func:`within`."""
    return field(default=default, metadata={"one_of": (default, *others), "later": later})


class Section:
    """What dataclasses of settings have in common: values are held against the bounds of their fields.

    A ValueError names the field; the name of the section is put before it by :func:`build_value`.
    """

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if known := each.metadata.get("one_of"):
                if value not in known:
                    names = ", ".join(map(str, known))
                    raise ValueError(f"{each.name}: {shown(value)} is not one of {names}{_near(value, known)}")
            elif bounds := each.metadata.get("within"):
                is_list = isinstance(value, list)
                for index, number in enumerate(value if is_list else [value]):
                    try:
                        (whole if isinstance(number, int) else real)(number, *bounds)
                    except ValueError as error:
                        raise ValueError(f"{each.name}{f'[{index}]' if is_list else ''}: {error}") from None


def _near(value: Any, known: tuple) -> str:
    return nearest(value, known).partition(" Known:")[0].rstrip(".") if isinstance(value, str) else ""


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
    if len(users) == MOST_BASES:
        raise TrnetError(f"{path}: is the base of a base of a base..., {MOST_BASES} times; leave some out")
    own = read_mapping(path, "configuration file")
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
        return _build_section(kind, value, key)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _build_union(inner, value, key)
    if origin is dict and isinstance(value, dict):
        return {str(k): build_value(inner[1], v, f"{key}.{k}") for k, v in value.items()}
    if origin is list and isinstance(value, list):
        return [build_value(inner[0], v, f"{key}[{i}]") for i, v in enumerate(value)]
    if kind is Any:
        return value
    if kind in (int, float):
        try:
            return real(value) if kind is float else whole(value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    if origin is None and type(value) is kind:
        return value
    wanted = KINDS.get(origin or kind, getattr(kind, "__name__", str(kind)))
    raise ValueError(f"{key}: must be {wanted}, not {shown(value)}")


def _build_section(kind: Any, value: Any, key: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{key}: must be a mapping, not {shown(value)}; write 'key: value' lines, or leave it out")
    hints = typing.get_type_hints(kind)
    for name in value:
        if name not in hints:
            dotted = f"{key}.{name}" if key else name
            raise ValueError(f"unknown key '{dotted}'{nearest(str(name), list(hints))}")
    values = {n: build_value(hints[n], v, f"{key}.{n}" if key else n) for n, v in value.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{key}.{error}" if key else str(error)) from None


def _build_union(kinds: tuple[Any, ...], value: Any, key: str) -> Any:
    """`value` as the first of some kinds that takes it; what is wrong with it is said by the first."""
    if value is None and types.NoneType in kinds:
        return None
    errors = []
    for kind in kinds:
        try:
            return build_value(kind, value, key)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def build(kind: type, value: Any, key: str) -> Any:
    """A section of the configuration from plain values.

    Raises: TrnetError in one line for an unknown key, a wrong type or a wrong value.
    """
    try:
        return build_value(kind, value, key)
    except (ValueError, TrnetError) as error:
        raise TrnetError(f"{error}; mend it there") from None


def made_of(section: Any) -> dict[str, Any]:
    """A section as plain values, without what was added later and has its default."""
    added = {f.name: f.default for f in dataclasses.fields(section) if f.metadata.get("later")}
    return {key: value for key, value in as_dict(section).items() if key not in added or value != added[key]}


def as_dict(config: Any) -> dict[str, Any]:
    """A configuration (or a section of it) as plain JSON-able values."""
    return dataclasses.asdict(config)
