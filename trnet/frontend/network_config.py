"""The configuration of a trainable network, from ``frontend_conf`` or from a checkpoint."""

from typing import Any, TypeVar

from trnet.config.section import Section, build
from trnet.frontend.checkpoint import mismatch
from trnet.utils.errors import TrnetError

C = TypeVar("C", bound=Section)


def given_config(kind: type[C], name: str, options: dict[str, Any]) -> C:
    """Configuration of an untrained network.

    Args:
        kind: section with a default for every field, the published value.
        name: of the front-end, for messages.
        options: of ``frontend_conf``, fields of ``kind``; None: the default.

    Raises:
        TrnetError: when a value is of another type or out of range, or values do not fit together.
    """
    given = {key: value for key, value in options.items() if value is not None}
    return build(kind, given, f"front-end {name}: frontend_conf")


def stored_config(kind: type[C], name: str, stored: dict[str, Any], options: dict[str, Any], path: str) -> C:
    """Configuration of a trained network.

    Args:
        kind: as for :func:`given_config`.
        name: of the front-end, for messages.
        stored: the checkpoint's configuration: every field of ``kind`` and nothing else.
        options: of ``frontend_conf``; each is None or the stored value.
        path: the checkpoint, for messages.

    Raises:
        TrnetError: when fields are missing or unknown, values do not fit together, or an option differs.
    """
    if faults := mismatch(tuple(kind.model_fields), stored):
        raise TrnetError(
            f"checkpoint {path}: its configuration is not that of {name}: {faults}: give one trained with this version "
            "of trnet"
        )
    config = build(kind, stored, f"checkpoint {path}: conf")
    for key, value in options.items():
        if value is not None and value != getattr(config, key):
            raise TrnetError(
                f"front-end {name}: frontend_conf.{key} is {value!r}, but checkpoint {path} was trained with "
                f"{getattr(config, key)!r}: remove the option"
            )
    return config
