"""``model.json``: what the network of a model file is built from; checked without PyTorch, which graphs do without."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from trnet.config import ModelConfig, Section, build, problem
from trnet.deploy.archive import FRONTEND, GRAPH_CONFIG, GRAPHS, MODEL, brief, origin_of, read_json
from trnet.utils.errors import TrnetError

COMPARED = ("name", "revision", "sample_rate", "checkpoint_sha256", "weights_sha256", "package")
"""Of a front-end's fingerprint: what decides that it is the same."""
MAX_WINDOW_S = 600

Name = Annotated[str, Field(min_length=1, max_length=200)]


class NeedsTrust(TrnetError):
    """The network has a class that is not trnet's own."""


class PackedFrontEnd(Section):
    """A front-end in a model file.

    conf: its options. fingerprint: of the front-end that was packed. weights: the entry or the package that
    holds them; None: there are none.
    """

    conf: dict[str, Any]
    fingerprint: dict[str, Any]
    weights: str | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if missing := [key for key in COMPARED if key not in self.fingerprint]:
            raise problem("fingerprint", f"has no '{missing[0]}'")
        if self.weights not in (FRONTEND, self.fingerprint["package"]) or not isinstance(self.name, str):
            raise problem("", "is damaged")
        return self

    @property
    def name(self) -> str:
        """The front-end's name."""
        return self.fingerprint["name"]


class ModelSettings(ModelConfig):
    """``model.json``.

    name: of the system. classes: in the order of the logits. frontend: None for a system without. extractor:
    fingerprint of features that are not trnet's own. temperature: that logits are divided by before the softmax, see
    trnet.eval.calibration; None: they are not.
    """

    name: Name
    classes: Annotated[list[Name], Field(min_length=2)]
    frontend: PackedFrontEnd | None
    extractor: dict[str, Any] | None = None
    temperature: Annotated[float, Field(ge=0.01, le=100)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if missing := sorted(set(ModelConfig.model_fields) - self.model_fields_set):
            raise problem(missing[0], "is missing")
        if len(set(self.classes)) < len(self.classes):
            raise problem("classes", "lists one twice")
        if (self.frontend is not None) != self.system.uses_frontend:
            raise problem("frontend", "does not go with the system")
        if self.features.span > MAX_WINDOW_S * self.features.sample_rate:
            raise problem("features", f"a window is longer than {MAX_WINDOW_S} s")
        return self

    def plain(self) -> dict[str, Any]:
        """All values, as JSON can hold them; without a temperature where there is none, as before there were any."""
        found = super().plain()
        if self.temperature is None:
            del found["temperature"]
        return found


def read_model_settings(path: Path, entries: Mapping[str, bytes], trust: bool = False) -> ModelSettings:
    """Read ``model.json`` of `entries`, and check that the others go with it; `path` is for errors.

    Raises:
        NeedsTrust: For classes that are not trnet's, without `trust`.
        TrnetError: For damage.
    """
    where = f"{path}: {MODEL}"
    model = read_json(entries[MODEL], where)
    _check_graphs(path, entries, model)
    try:
        foreign = next(_foreign({key: model.get(key) for key in ModelConfig.model_fields}), None)
        if foreign is not None and not trust:
            raise NeedsTrust(
                f"{path}: its network has {brief(foreign)}, a Python class that is not trnet's own, whose code would "
                "run; give --trust if you trust the model"
            )
        settings = build(ModelSettings, model)
    except NeedsTrust:
        raise
    except (TrnetError, ArithmeticError, RecursionError) as error:
        raise TrnetError(f"{where}: {brief(error)}; pack the model again") from None
    if (FRONTEND in entries) != (settings.frontend is not None and settings.frontend.weights == FRONTEND):
        raise TrnetError(f"{path}: {FRONTEND} and {MODEL} do not agree; pack the model again")
    return settings


def _foreign(value: Any) -> Iterator[str]:
    """The texts in plain values that may name a class ``package.module:Class``, wherever they stand."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _foreign(each)
    elif isinstance(value, str) and ":" in value:
        yield value


def graph_metadata(model: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` beside graphs has of ``model.json``.

    Raises:
        TrnetError: If ``model.json`` is damaged.
    """
    try:
        frontend = None if model["frontend"] is None else model["frontend"]["fingerprint"]["name"]
        kept = {key: model[key] for key in ("name", "classes", "features")}
        kept |= {key: model[key] for key in ("temperature",) if key in model}
        return {**kept, "input": model["system"].get("input"), "frontend": frontend}
    except (KeyError, TypeError, AttributeError) as error:
        raise TrnetError(f"{MODEL}: is damaged ({brief(repr(error))}); pack the model again") from None


def _check_graphs(path: Path, entries: Mapping[str, bytes], model: Mapping[str, Any]) -> None:
    """Graphs, where there are some, are of this model."""
    if not any(name.startswith(GRAPHS) for name in entries):
        return
    where = GRAPHS + GRAPH_CONFIG
    config = read_json(entries.get(where, b"{}"), f"{path}: {where}")
    if config.get("made_from") != origin_of(entries):
        raise TrnetError(f"{path}: {GRAPHS} was made from other networks than the file holds; pack the model again")
    if differing := [key for key, value in graph_metadata(model).items() if config.get(key) != value]:
        raise TrnetError(f"{path}: {where} and {MODEL} do not agree ({', '.join(differing)}); pack the model again")
