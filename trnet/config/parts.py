"""Parts that anyone can swap, in YAML ``{type: NAME or package.module:Class, ...options of that part...}``.

For each kind of part (features, encoder, pooling, loss) there is a plain dict from name to the section of its options,
here without PyTorch, and one from name to class where the parts themselves are. The options of somebody's own class are
the keyword arguments of its constructor.
"""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ClassVar, SupportsIndex

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, create_model

from trnet.config.section import Section, first_problem, problem
from trnet.utils.errors import TrnetError, first_line, nearest, printable
from trnet.utils.names import is_class_name
from trnet.utils.numbers import shown
from trnet.utils.stamp import digest


class Part(Section):
    """Options of a part; those of a kind of part derive from it."""

    type: str
    not_options: ClassVar[tuple[str, ...]] = ("type",)  # fields that trnet itself reads
    constructor: ClassVar[tuple[str, ...] | None] = None  # names of arguments, of somebody's own class
    made_by: ClassVar[tuple[Any, ...] | None] = None  # arguments of `own_options`, of somebody's own class

    def options(self) -> dict[str, Any]:
        """What its class is made with."""
        if self.constructor is None:
            return {name: value for name, value in self.plain().items() if name not in self.not_options}
        return {name: getattr(self, name) for name in self.constructor} | (self.model_extra or {})

    @property
    def is_own(self) -> bool:
        """Whether it is somebody's own class, ``package.module:Class``."""
        return ":" in self.type

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """For another process, which makes the section of somebody's own class anew."""
        if self.made_by is None:
            return super().__reduce_ex__(protocol)
        return _restored, (self.made_by, self.__getstate__())


def _restored(made_by: tuple[Any, ...], state: dict[Any, Any]) -> Part:
    kind = own_options(*made_by)
    part = kind.__new__(kind)
    part.__setstate__(state)
    return part


def load_class(name: str, what: str) -> type:
    """The class ``package.module:Class``; `what` it is for begins the message of the TrnetError if there is none."""
    try:
        return find_class(name)
    except ValueError as error:
        raise TrnetError(f"{what}: {error}") from None


@contextmanager
def own_code(name: str) -> Iterator[None]:
    """Turn what code of somebody's own class raises into a TrnetError that names the class."""
    try:
        yield
    except (TrnetError, OSError, MemoryError):
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for it
            raise
        raise TrnetError(f"{name}: raised {type(error).__name__}: {first_line(error)}; mend the class") from error


def find_class(name: str) -> type:
    """The class ``package.module:Class``.

    Raises:
        ValueError: If it does not import, or there is no such class.
    """
    if not is_class_name(name):
        raise ValueError(f"'{printable(name)}' is no class; write package.module:Class")
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except SyntaxError as error:
        where = printable(f"{error.filename}:{error.lineno}: {error.msg}")
        raise ValueError(
            f"module {module_name} does not import ({type(error).__name__}: {where}); mend the module there"
        ) from None
    except Exception as error:  # of code that is not trnet's, anything
        raise ValueError(
            f"module {module_name} does not import ({type(error).__name__}: {printable(first_line(error))}); "
            "check its name, mend the module, or put its folder on PYTHONPATH"
        ) from None
    found = getattr(module, attribute, None)
    if not isinstance(found, type):
        raise ValueError(f"module {module_name} has no class {attribute}; check its name")
    return found


def source_digest(name: str) -> str:
    """Digest of the source of somebody's own class ``package.module:Class``, so that a change of it is noticed."""
    made = load_class(name, name)
    try:
        return digest(inspect.getsource(made))
    except (OSError, TypeError):  # typed into an interpreter, or compiled
        return "unknown"


def own_options(name: str, base: type[Part], positional: int) -> type[Part]:
    """The section of options of somebody's own class: the keyword arguments of its constructor, as annotated.

    Arguments whose default no YAML can hold are left to the class.

    Args:
        name: ``package.module:Class``.
        base: Section of the kind of part, whose fields are there too.
        positional: Arguments of the constructor that trnet gives.

    Raises:
        ValueError: As `find_class` does.
    """
    return _section_of(find_class(name), name, base, positional)


@lru_cache(maxsize=256)  # so that sections of the same class are of one type, and equal if their values are
def _section_of(made: type, name: str, base: type[Part], positional: int) -> type[Part]:
    parameters = _parameters(made, name)[positional:]
    taken = {*base.not_options, *(set(dir(base)) - set(base.model_fields))}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    fields: dict[str, Any] = {}
    for parameter in parameters:
        named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if named and (parameter.name.startswith("_") or parameter.name in taken):
            raise ValueError(f"{name}: an option cannot be called '{parameter.name}'; rename it in the class")
        if named and _fits_yaml(parameter.default):
            kind = Any if parameter.annotation is parameter.empty else parameter.annotation
            fields[parameter.name] = (kind, ... if parameter.default is parameter.empty else Field(parameter.default))
    more = ConfigDict(extra="allow" if takes_any else "forbid", arbitrary_types_allowed=True)
    config = base.model_config | more
    namespace: dict[str, Any] = {"model_config": config, "constructor": tuple(fields), "__module__": __name__}
    namespace["made_by"] = (name, base, positional)
    namespace["__annotations__"] = {"constructor": ClassVar[tuple[str, ...] | None], "made_by": ClassVar[Any]}
    return create_model("OwnPart", __base__=type("OwnPart", (base,), namespace), **fields)


def _fits_yaml(default: Any) -> bool:
    """Whether a YAML can hold a default; an argument with another, a function, say, is no option."""
    if isinstance(default, list | tuple):
        return all(map(_fits_yaml, default))
    if isinstance(default, dict):
        return all(map(_fits_yaml, (*default, *default.values())))
    return default is inspect.Parameter.empty or type(default) in (type(None), bool, int, float, str)


def _parameters(made: type, name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(made, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError) as error:  # an annotation that only a type checker can read
        raise ValueError(f"the constructor of {name} cannot be read ({first_line(error)}); mend the class") from None


def chosen(known: Mapping[str, type[Part]], base: type[Part], positional: int = 0) -> Any:
    """The validator of a part: which section of `known` its `type` chooses; the first is that of a part without `type`.

    `base`: what the sections derive from. `positional`: see `own_options`.
    """

    def read(value: Any) -> Any:
        if isinstance(value, str):
            value = {"type": value}
        if isinstance(value, Part):
            return value
        if not isinstance(value, Mapping):
            raise problem("", f"must be a mapping, not {shown(value)}; write 'key: value' lines, or leave it out")
        name = value.get("type", next(iter(known)))
        if not isinstance(name, str) or (name not in known and ":" not in name):
            hint = nearest(str(name), list(known))
            raise problem("type", f"'{printable(str(name))}' is unknown{hint}, or your own package.module:Class")
        try:
            kind = known[name] if name in known else own_options(name, base, positional)
            return kind.model_validate({**value, "type": name})
        except ValidationError as error:
            raise problem(*first_problem(error, kind)) from None
        except ValueError as error:
            raise problem("type", str(error)) from None

    return BeforeValidator(read)
