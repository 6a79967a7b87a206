"""What a trainable network is built from: a frozen dataclass, as a user gives it and a checkpoint keeps it."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from trnet.utils.errors import TrnetError

T = TypeVar("T")


def given_sizes(cls: type[T], name: str, options: dict[str, Any]) -> T:
    """Sizes of an untrained network: the options that are not None, the published value for the rest.

    Args:
        cls: frozen dataclass with a default for every field; its ``__post_init__`` raises ValueError for values that
            do not go together.
        name: front-end name, for messages.
        options: of ``frontend_conf``; names of fields.

    Raises:
        TrnetError: an option of another type, or values that do not go together.
    """
    return _build(cls, {k: v for k, v in options.items() if v is not None}, f"front-end {name}: frontend_conf")


def stored_sizes(cls: type[T], name: str, stored: dict[str, Any], options: dict[str, Any], path: str) -> T:
    """Sizes of a trained network: those its checkpoint holds, which the options may repeat but not change.

    Args:
        cls: as for :func:`given_sizes`.
        name: front-end name, for messages.
        stored: what the checkpoint holds; every field of ``cls`` and nothing else.
        options: of ``frontend_conf``; None says nothing.
        path: the checkpoint, for messages.

    Raises:
        TrnetError: missing or unknown sizes, values that do not go together, or an option that differs.
    """
    known = [field.name for field in dataclasses.fields(cls)]
    missing, extra = [k for k in known if k not in stored], [k for k in stored if k not in known]
    faults = [f"{word} {', '.join(keys)}" for word, keys in (("missing", missing), ("unknown", extra)) if keys]
    if faults:
        raise TrnetError(
            f"checkpoint {path}: its sizes are not those of {name}: {'; '.join(faults)}: give one trained by this "
            f"version of trnet"
        )
    sizes = _build(cls, stored, f"checkpoint {path}: conf")
    for key, value in options.items():
        if value is not None and value != getattr(sizes, key):
            raise TrnetError(
                f"front-end {name}: frontend_conf.{key} is {value!r}, but checkpoint {path} was trained with "
                f"{getattr(sizes, key)!r}: leave the option out"
            )
    return sizes


def _build(cls: type[T], values: dict[str, Any], where: str) -> T:
    """Make the dataclass; every value has to be of its default's type, and integers above 0."""
    for field in dataclasses.fields(cls):
        if field.name not in values:
            continue
        value, kind = values[field.name], type(field.default)
        if type(value) is not kind or (kind is int and value < 1):
            wanted = {int: "a whole number above 0", bool: "true or false", str: "a name"}[kind]
            raise TrnetError(f"{where}.{field.name} is {value!r}: give {wanted}")
    try:
        return cls(**values)
    except ValueError as error:
        raise TrnetError(f"{where}: {error}") from error
