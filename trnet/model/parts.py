"""Parts of a network from their options: trnet's own by name, others by ``package.module:Class``."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from trnet.config.parts import Part, load_class, own_code
from trnet.utils.errors import TrnetError


def make_part(known: Mapping[str, type[nn.Module]], options: Part, key: str, *arguments: Any) -> nn.Module:
    """The part that a section of options under `key` names; `arguments` come before its options.

    Raises:
        TrnetError: If a class of somebody's own is no `nn.Module`, or raises.
    """
    if not options.is_own:
        return known[options.type](*arguments, **options.options())
    return make_own(load_class(options.type, f"{key}.type"), options.type, *arguments, **options.options())


def out_dim(part: nn.Module) -> int:
    """The values that an encoder or a pooling gives."""
    found = getattr(part, "out_dim", None)
    if not isinstance(found, int):
        raise TrnetError(f"{type(part).__name__}: has no whole number 'out_dim', the values it gives; set it")
    return found


def make_own(made: type, name: str, *arguments: Any, **options: Any) -> nn.Module:
    """An instance of somebody's own class.

    Raises:
        TrnetError: If it is no `nn.Module`, or raises.
    """
    with own_code(name):
        part = made(*arguments, **options)
    if not isinstance(part, nn.Module):
        raise TrnetError(f"{name}: is no torch.nn.Module; derive the class from it")
    return part
