"""The JSON of a model file, checked without PyTorch, which prediction by graphs does without."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trnet.config import ModelConfig, build
from trnet.deploy.archive import ABOUT, FRONTEND, GRAPH_CONFIG, GRAPHS, MODEL, brief, origin_of, read_json
from trnet.utils.errors import TrnetError

SECTIONS = tuple(ModelConfig.model_fields)
KEYS = {"name", "classes", "frontend", *SECTIONS}
EXTRACTOR = "extractor"  # key of the fingerprint of features that are not trnet's own
FRONTEND_KEYS = {"conf", "fingerprint", "weights"}
COMPARED = ("name", "revision", "sample_rate", "checkpoint_sha256", "weights_sha256", "package")
"""Of a front-end's fingerprint: what decides that it is the same."""
MAX_WINDOW_S = 600
MAX_NAME = 200  # characters


@dataclass(frozen=True)
class Metadata:
    """The JSON of a model file.

    config: None where it names classes that are not trnet's own, and the reader does not trust them. The other fields
    are those of `ModelFile`.
    """

    name: str
    config: ModelConfig | None
    classes: tuple[str, ...]
    frontend: dict[str, Any] | None
    extractor: dict[str, Any] | None
    about: dict[str, Any]
    foreign: tuple[str, ...]


def read_metadata(path: Path, entries: Mapping[str, bytes], trust: bool = False) -> Metadata:
    """Read the JSON entries, and check that they go together.

    Args:
        path: The model file, for errors.
        entries: As `read_entries` returns them.
        trust: Import the classes that are not trnet's own.

    Raises:
        TrnetError: Something is damaged, or does not go together.
    """
    model, where = read_json(entries[MODEL], f"{path}: {MODEL}"), f"{path}: {MODEL}"
    if odd := KEYS ^ (set(model) - {EXTRACTOR}):
        raise TrnetError(f"{where}: missing or unknown {brief(', '.join(sorted(odd)))}; pack the model again")
    settings, classes, frontend = {key: model[key] for key in SECTIONS}, model["classes"], model["frontend"]
    try:
        foreign = tuple(dict.fromkeys(_foreign(settings)))
    except RecursionError:
        raise TrnetError(f"{where}: is nested too deeply; pack the model again") from None
    config = None if foreign and not trust else read_config(settings, where)
    if not (isinstance(classes, list) and all(map(_is_name, classes)) and 1 < len(classes) == len(set(classes))):
        raise TrnetError(f"{where}: 'classes' is no list of different names; pack the model again")
    if not _is_name(model["name"]):
        raise TrnetError(f"{where}: 'name' is no name; pack the model again")
    if config is not None and (frontend is not None) != config.system.uses_frontend:
        raise TrnetError(f"{where}: system and front-end do not go together; pack the model again")
    if frontend is not None:
        check_frontend(frontend, where)
    if (FRONTEND in entries) != (frontend is not None and frontend["weights"] == FRONTEND):
        raise TrnetError(f"{path}: {FRONTEND} and {MODEL} do not agree; pack the model again")
    _check_graphs(path, entries, model)
    about = read_json(entries[ABOUT], f"{path}: {ABOUT}")
    return Metadata(model["name"], config, tuple(classes), frontend, model.get(EXTRACTOR), about, foreign)


def read_config(settings: Mapping[str, Any], where: str) -> ModelConfig:
    """The configuration of a network.

    Args:
        settings: Its sections.
        where: The file, for errors.

    Raises:
        TrnetError: An unknown key or a bad value.
    """
    try:
        config = build(ModelConfig, settings)
        too_long = config.features.span > MAX_WINDOW_S * config.features.sample_rate
    except (TrnetError, ArithmeticError, RecursionError) as error:
        raise TrnetError(f"{where}: {brief(error)}") from None
    if too_long:
        raise TrnetError(f"{where}: features: a window lasts more than {MAX_WINDOW_S} s; pack a model of shorter ones")
    return config


def _foreign(value: Any) -> Iterator[str]:
    """The texts in plain values that name a class ``package.module:Class``, wherever they stand."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _foreign(each)
    elif isinstance(value, str) and ":" in value:
        yield value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME


def check_frontend(section: Any, name: str) -> None:
    """Refuse a front-end's section that `pack_frontend` did not make.

    Args:
        section: Of the model file.
        name: For errors.

    Raises:
        TrnetError: It is damaged.
    """
    ok = isinstance(section, dict) and set(section) == FRONTEND_KEYS
    ok = ok and isinstance(section["conf"], dict) and isinstance(section["fingerprint"], dict)
    ok = ok and all(key in section["fingerprint"] for key in COMPARED)
    ok = ok and section["weights"] in (FRONTEND, section["fingerprint"]["package"])
    if not (ok and _is_name(section["fingerprint"]["name"])):
        raise TrnetError(f"{name}: the front-end's section is damaged; pack the model again")


def graph_metadata(model: Mapping[str, Any]) -> dict[str, Any]:
    """What ``config.json`` beside graphs has of ``model.json``."""
    frontend = model["frontend"]
    return {
        "name": model["name"],
        "input": model["system"].get("input"),
        "classes": model["classes"],
        "features": model["features"],
        "frontend": None if frontend is None else frontend["fingerprint"]["name"],
    }


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
