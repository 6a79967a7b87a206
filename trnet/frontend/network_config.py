"""The configuration of a trainable network, from ``frontend_conf`` or from a checkpoint."""

from typing import Any, TypeVar

from trnet.config.section import Section, build
from trnet.frontend.checkpoint import mismatch
from trnet.utils.errors import TrnetError

C = TypeVar("C", bound=Section)


def given_config(kind: type[C], name: str, options: dict[str, Any]) -> C:
    """Configuration of an untrained network: a section ``kind`` with the values of ``frontend_conf`` that are not None.

    Raises:
        TrnetError: If a value is of another type or out of range, or values do not fit together.
    """
    given = {key: value for key, value in options.items() if value is not None}
    return build(kind, given, f"front-end {name}: frontend_conf")


def stored_config(kind: type[C], name: str, stored: dict[str, Any], options: dict[str, Any], path: str) -> C:
    """Configuration of a trained network: the checkpoint's; each option of ``frontend_conf`` is None or equal to it.

    Raises:
        TrnetError: If fields are missing or unknown, values do not fit together, or an option differs.
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
