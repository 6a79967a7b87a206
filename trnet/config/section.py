"""Settings as typed sections (pydantic): an unknown key, a wrong type or a wrong value is one line that names the key.

pydantic rather than OmegaConf: sections are classes that an editor and a type checker know, bounds and choices stand
beside each field, and a section can be made from any mapping (a YAML file, a packed model, a test), not from files
only.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from trnet.utils.errors import TrnetError, nearest
from trnet.utils.numbers import real, shown, whole

S = TypeVar("S", bound="Section")

UNKNOWN = "unknown key"

WANTED = {
    "bool_type": "must be true or false, not {}",
    "string_type": "must be a text, not {}",
    "list_type": "must be a list, not {}",
    "dict_type": "must be a mapping, not {}",
    "model_type": "must be a mapping, not {}; write 'key: value' lines, or leave it out",
    "int_type": "{} is not a whole number",
    "float_type": "{} is not a number",
    "finite_number": "{} is not a finite number",
    "none_required": "must be null, not {}",
}
"""What to say of pydantic's kinds of errors."""


def within(default: Any, low: float, high: float, later: bool = False) -> Any:
    """A field for a number from `low` to `high`.

    `later`: the field came after runs had been trained: with its default it is not part of `Section.record`.
    """
    return Field(default, ge=low, le=high, json_schema_extra={"later": later})


def later(default: Any) -> Any:
    """A field that came after runs had been trained; see :func:`within`."""
    if isinstance(default, list | dict):
        return Field(default_factory=lambda: type(default)(default), json_schema_extra={"later": True})
    return Field(default, json_schema_extra={"later": True})


def problem(key: str, reason: str) -> PydanticCustomError:
    """What a validator of a section raises about one of its fields."""
    return PydanticCustomError("problem", "{reason}", {"key": key, "reason": reason})


class Section(BaseModel):
    """A section of the settings: frozen, strict about types (numbers may be in quotes), without unknown keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _read_numbers(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            k: _numbers(cls.model_fields[k].annotation, v) if k in cls.model_fields else v for k, v in values.items()
        }

    def replace(self, **changes: Any) -> Self:
        """A copy with other values, checked like any other."""
        return build(type(self), {name: getattr(self, name) for name in self.model_fields_set} | changes)

    def record(self) -> dict[str, Any]:
        """The values that decide a result, plain: without fields that came later and have their default."""
        found = {}
        for name, field in type(self).model_fields.items():
            value, extra = getattr(self, name), field.json_schema_extra
            came_later = isinstance(extra, dict) and extra.get("later")
            if not (came_later and value == field.get_default(call_default_factory=True)):
                found[name] = _plain(value, "record")
        return found | self._others()

    def plain(self) -> dict[str, Any]:
        """All values, as YAML and JSON can hold them."""
        return {name: _plain(getattr(self, name), "plain") for name in type(self).model_fields} | self._others()

    def _others(self) -> dict[str, Any]:
        """Options of a class that takes any."""
        return {name: _plain(value, "plain") for name, value in (self.model_extra or {}).items()}


def _plain(value: Any, method: str) -> Any:
    if isinstance(value, Section):
        return getattr(value, method)()
    if isinstance(value, dict):
        return {key: _plain(each, method) for key, each in value.items()}
    return [_plain(each, method) for each in value] if isinstance(value, list | tuple) else value


def build(kind: type[S], value: Any, key: str = "") -> S:
    """A section of a class from a mapping of plain values that stands under `key`.

    Raises:
        TrnetError: In one line for an unknown key (with the nearest one), a wrong type or a wrong value.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        path, reason = first_problem(error, kind)
        path = _joined(key, path)
        if reason.startswith(UNKNOWN):
            raise TrnetError(f"{UNKNOWN} '{path}'{reason.removeprefix(UNKNOWN)}") from None
        raise TrnetError(f"{path}: {reason}" if path else reason) from None


def check_value(kind: Any, value: Any, key: str) -> Any:
    """A value of a type that is no section, such as `int` or `list[str] | None`; numbers may be in quotes.

    Raises:
        ValueError: Naming `key`.
    """
    try:
        adapter = TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))
        return adapter.validate_python(_numbers(kind, value))
    except ValidationError as error:
        (details, *_) = error.errors(include_url=False)
        raise ValueError(f"{key}: {_reason(details)}") from None


def _numbers(kind: Any, value: Any) -> Any:
    """A value in which texts that are numbers (YAML's are in quotes) are numbers where a `kind` has no texts."""
    kinds = (kind, *get_args(kind))
    if isinstance(value, list) and any(tuple in (each, get_origin(each)) for each in kinds):
        return tuple(value)  # YAML has none
    if isinstance(value, list) and get_origin(kind) is list:
        return [_numbers(kinds[1], each) for each in value]
    if not isinstance(value, str) or str in kinds or value in kinds:
        return value
    for number, read in ((int, whole), (float, real)):
        if number in kinds or any(type(each) is number for each in kinds):
            with suppress(ValueError):
                return read(value)
    return value


def first_problem(error: ValidationError, kind: type[Section]) -> tuple[str, str]:
    """Dotted key (``encoder.channels[1]``) and reason of the first thing that pydantic found in a `kind`."""
    (details, *_) = error.errors(include_url=False)
    context, path = details.get("ctx", {}), _dotted(details["loc"])
    if details["type"] == "problem":
        return _joined(path, context["key"]), context["reason"]
    if details["type"] == "extra_forbidden":
        *above, name = map(str, details["loc"])
        return path, UNKNOWN + nearest(name, known_keys(kind, above))
    return path, _reason(details)


def _joined(path: str, key: str) -> str:
    return path + key if key.startswith("[") else ".".join(filter(None, (path, key)))


def _reason(details: ErrorDetails) -> str:
    kind, value, context = details["type"], shown(details["input"]), details.get("ctx", {})
    if kind in WANTED:
        return WANTED[kind].format(value)
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        return f"{value} is not one of {context['expected'].replace(' or ', ', ').replace(chr(39), '')}"
    if kind == "greater_than_equal":
        return f"{value} must be {context['ge']:g} or more"
    if kind == "less_than_equal":
        return f"{value} must be at most {context['le']:g}"
    return f"{value}: {details['msg']}"


def _dotted(loc: Iterable[int | str]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def known_keys(kind: type[Section], path: Sequence[str]) -> list[str]:
    """The keys of the section that lies at `path` within a `kind`."""
    for key in path:
        field = kind.model_fields.get(key)
        inner = next(iter(_sections_in(field.annotation)), None) if field else None
        kind = inner or kind
    return list(kind.model_fields)


def _sections_in(annotation: Any) -> Iterable[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _sections_in(argument)
