"""Speech-enhancement front-ends by name: ``build_frontend`` makes one from a config.

To add one, write a :class:`FrontEnd` and put it into ``FRONTENDS``, or name it in the config as
``package.module:Class``. Its options are its constructor's arguments. See docs/new_frontend.md.
"""

import inspect
import types
import typing
from typing import Any

from trnet.config import check_value, load_class
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
    """Make the front-end of a config, frozen and in eval mode.

    Args:
        config: ``frontend`` (a name of ``FRONTENDS`` or ``package.module:Class``) and ``frontend_conf`` (its options;
            may be absent or None). Keys that do not begin with ``frontend`` are ignored.

    Returns:
        The front-end, with ``name`` and ``conf`` set.

    Raises:
        TrnetError: If the name is missing or unknown, an option is unknown or wrong, or the front-end raises it.
    """
    if unknown := [k for k in config if str(k).startswith("frontend") and k not in ("frontend", "frontend_conf")]:
        raise TrnetError(f"config key {unknown[0]!r} is unknown: a front-end is set by 'frontend' and 'frontend_conf'")
    name, conf = config.get("frontend"), config.get("frontend_conf")
    if not isinstance(name, str) or not name:
        known = ", ".join(sorted(FRONTENDS))
        raise TrnetError(f"config key 'frontend' is {name!r}: set it to one of {known} or to package.module:Class")
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


def _find(name: str) -> type[FrontEnd]:
    """The class of a registered name or of ``package.module:Class``."""
    if name in FRONTENDS:
        return FRONTENDS[name]
    if ":" not in name:
        hint = nearest(name.lower(), sorted(FRONTENDS))
        raise TrnetError(f"unknown front-end {name!r}{hint} package.module:Class")
    cls = load_class(name, f"front-end {name}")
    if not issubclass(cls, FrontEnd):
        raise TrnetError(f"front-end {name}: is no subclass of trnet.frontend.FrontEnd: name a class that is")
    return cls


def _options(name: str, cls: type[FrontEnd], conf: dict[str, Any]) -> dict[str, Any]:
    """All options of a front-end with their values, after a check for unknown and missing ones."""
    plain = cls.__init__ is FrontEnd.__init__
    parameters = {} if plain else dict(inspect.signature(cls).parameters)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = {k: p for k, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    for key in conf:
        if key == "checkpoint" and key not in known and not takes_any:
            raise TrnetError(
                f"frontend_conf of {name!r}: unknown key 'checkpoint': this front-end takes no file of weights, it "
                f"has those that it needs: leave out --frontend-checkpoint. Known: {' '.join(known)}"
            )
        if key not in known and not takes_any:
            raise TrnetError(f"frontend_conf of {name!r}: unknown key {key!r}{nearest(str(key), list(known))}")
    if missing := [k for k, p in known.items() if p.default is p.empty and k not in conf]:
        raise TrnetError(f"frontend_conf of {name!r}: {', '.join(missing)} is missing: add it")
    return {k: p.default for k, p in known.items() if k not in conf} | dict(conf)


def _typed(name: str, cls: type[FrontEnd], conf: dict[str, Any]) -> dict[str, Any]:
    """The options, checked against the annotations of the constructor where these are of plain types."""
    try:
        hints = typing.get_type_hints(cls.__init__)
    except Exception:  # annotations for type checkers only
        return conf
    typed = dict(conf)
    for key, value in conf.items():
        kind = hints.get(key, Any)
        if not _is_plain(kind):
            continue
        try:
            checked = check_value(kind, value, key)
            for each in checked if isinstance(checked, list) else [checked]:
                _check_range(each, key, key in cls.path_options)
        except ValueError as error:
            raise TrnetError(f"frontend_conf of {name!r}: {error}: correct it there") from None
        if isinstance(value, str):  # a number in quotes; others stay as written, as fingerprints have them
            typed[key] = checked
    return typed


def _check_range(value: Any, key: str, is_path: bool) -> None:
    """Check that a value can be an option.

    Raises:
        ValueError: For an unreasonable number, and a text that is no path.
    """
    if isinstance(value, int | float) and abs(value) > LARGEST:
        raise ValueError(f"{key}: {shown(value)} must be from {-LARGEST:g} to {LARGEST:g}")
    if is_path and isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError(f"{key}: '{printable(value)}' is no path; give one, or remove the option")


def _is_plain(kind: Any) -> bool:
    """Whether a type is of YAML's kinds of values."""
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union, list, dict):
        return all(map(_is_plain, typing.get_args(kind)))
    return origin is typing.Literal or kind in (str, int, float, bool, types.NoneType, Any)
