"""Speech-enhancement front-ends by name: ``build_frontend`` makes one from a config.

To add one, write a :class:`FrontEnd` and put it into ``FRONTENDS``, or name it in the config as
``package.module:Class``. Its options are its constructor's arguments. See docs/new_frontend.md.
"""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from typing import Any

from trnet.config import check_value
from trnet.frontend.asteroid import AsteroidFrontEnd
from trnet.frontend.base import FrontEnd
from trnet.frontend.cmgan import CmganFrontEnd
from trnet.frontend.dccrn import DccrnFrontEnd
from trnet.frontend.deepfilternet import DeepFilterNetFrontEnd
from trnet.frontend.dpt_fsnet import DptFsnetFrontEnd
from trnet.frontend.enhanced_scp import EnhancedScpFrontEnd
from trnet.frontend.espnet import EspnetFrontEnd
from trnet.frontend.gtcrn import GtcrnFrontEnd
from trnet.frontend.none import NoFrontEnd
from trnet.frontend.nsnet2 import NsNet2FrontEnd
from trnet.frontend.own_code import named_in_errors
from trnet.frontend.rnnoise import RnnoiseFrontEnd
from trnet.frontend.speechbrain import SpeechbrainFrontEnd
from trnet.utils.errors import TrnetError, nearest, printable
from trnet.utils.names import frontend_id
from trnet.utils.numbers import shown

FRONTENDS: dict[str, type[FrontEnd]] = {
    "none": NoFrontEnd,
    "cmgan": CmganFrontEnd,
    "gtcrn": GtcrnFrontEnd,
    "dccrn": DccrnFrontEnd,
    "dpt_fsnet": DptFsnetFrontEnd,
    "deepfilternet": DeepFilterNetFrontEnd,
    "nsnet2": NsNet2FrontEnd,
    "rnnoise": RnnoiseFrontEnd,
    "asteroid": AsteroidFrontEnd,
    "speechbrain": SpeechbrainFrontEnd,
    "espnet": EspnetFrontEnd,
    "enhanced_scp": EnhancedScpFrontEnd,
}

LARGEST = 1e9  # number among a front-end's options

__all__ = ["FRONTENDS", "FrontEnd", "build_frontend"]


def build_frontend(config: dict[str, Any]) -> FrontEnd:
    """Make the front-end a config names, frozen and in eval mode.

    Args:
        config: ``frontend`` (a name of ``FRONTENDS`` or ``package.module:Class``) and
            ``frontend_conf`` (its options; may be absent or None). Keys that do not begin with
            ``frontend`` belong to others and are passed over.

    Returns:
        The front-end, with ``name`` and ``conf`` set.

    Raises:
        TrnetError: no or an unknown name, an unknown option, or whatever the front-end refuses.
    """
    strays = [k for k in config if str(k).startswith("frontend")]
    strays = [k for k in strays if k not in ("frontend", "frontend_conf")]
    if strays:
        raise TrnetError(f"config key {strays[0]!r} is unknown: a front-end is set by 'frontend' and 'frontend_conf'")
    name = config.get("frontend")
    if not isinstance(name, str) or not name:
        raise TrnetError(f"config key 'frontend' is {name!r}: set it to one of {_names()} or to package.module:Class")
    conf = config.get("frontend_conf")
    conf = {} if conf is None else conf
    if not isinstance(conf, dict):
        raise TrnetError(f"frontend_conf of {name!r} is {conf!r}: give a mapping of options")
    cls = _find(frontend_id(name, "config key 'frontend'"))
    full = _options(name, cls, conf)
    conf = _typed(name, cls, conf)
    with named_in_errors(name, "be made"):
        frontend = cls(**conf)
    frontend.name = name
    frontend.conf = full | conf
    return frontend.requires_grad_(False).eval()


def _names() -> str:
    """The registered names for a message."""
    return ", ".join(sorted(FRONTENDS))


def _find(name: str) -> type[FrontEnd]:
    """The class of a registered name or of ``package.module:Class``."""
    if name in FRONTENDS:
        return FRONTENDS[name]
    if ":" not in name:
        hint = nearest(name.lower(), sorted(FRONTENDS))
        raise TrnetError(f"unknown front-end {name!r}{hint} package.module:Class")
    module_name, _, class_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # of code that is not trnet's, anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise TrnetError(
            f"front-end {name!r}: module {module_name!r} does not import ({reason}): check its "
            "name and that it lies in the recipe's folder or on the Python path"
        ) from error
    cls = getattr(module, class_name, None)
    if not (isinstance(cls, type) and issubclass(cls, FrontEnd)):
        raise TrnetError(
            f"front-end {name!r}: {class_name!r} in {module_name!r} is no subclass of "
            "trnet.frontend.FrontEnd: name a class that is"
        )
    return cls


def _options(name: str, cls: type[FrontEnd], conf: dict[str, Any]) -> dict[str, Any]:
    """All options of a front-end with their values, after refusing unknown and absent ones."""
    plain = cls.__init__ is FrontEnd.__init__
    parameters = {} if plain else dict(inspect.signature(cls).parameters)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = {k: p for k, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    for key in conf:
        if key not in known and not takes_any:
            listed = ", ".join(known) or "none"
            raise TrnetError(f"frontend_conf of {name!r}: unknown key {key!r}: the known ones are: {listed}")
    absent = [k for k, p in known.items() if p.default is p.empty and k not in conf]
    if absent:
        raise TrnetError(f"frontend_conf of {name!r}: {', '.join(absent)} must be given: add it")
    return {k: p.default for k, p in known.items() if k not in conf} | dict(conf)


def _typed(name: str, cls: type[FrontEnd], conf: dict[str, Any]) -> dict[str, Any]:
    """The options, each of a type that the class is annotated with, where that is a plain one."""
    try:
        hints = typing.get_type_hints(cls.__init__)
    except Exception:  # annotations that only a type checker can read
        return conf
    typed = dict(conf)
    for key, value in conf.items():
        kind = hints.get(key, Any)
        if not _is_plain(kind):
            continue
        try:
            built = check_value(kind, value, key)
            for each in built if isinstance(built, list) else [built]:
                _check_sane(each, key, key in cls.path_options)
        except ValueError as error:
            raise TrnetError(f"frontend_conf of {name!r}: {error}: mend it there") from None
        if isinstance(value, str):  # a number in quotes; others stay as written, as the fingerprint has them
            typed[key] = built
    return typed


def _check_sane(value: Any, key: str, is_path: bool) -> None:
    """Raises: ValueError for a number beyond all sizes, and a path that cannot be one."""
    if isinstance(value, int | float) and abs(value) > LARGEST:
        raise ValueError(f"{key}: {shown(value)} must be from {-LARGEST:g} to {LARGEST:g}")
    if is_path and isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError(f"{key}: '{printable(value)}' is no path; give one, or leave the option out")


def _is_plain(kind: Any) -> bool:
    """Whether `check_value` knows the type."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union, list, dict):
        return all(map(_is_plain, typing.get_args(kind)))
    return kind in (str, int, float, bool, types.NoneType, Any)
