"""What a model file says of itself, checked without PyTorch, which answers by graphs do without."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trnet.config import Classifier, Config, Encoder, Features, Gate, Pooling, System, as_dict, build
from trnet.deploy.archive import (
    ABOUT,
    FRONTEND,
    GRAPH_CONFIG,
    GRAPHS,
    MODEL,
    brief,
    json_bytes,
    origin_of,
    read_json,
)
from trnet.utils.errors import TrnetError

SECTIONS = {"features": Features, "encoder": Encoder, "pooling": Pooling, "classifier": Classifier, "gate": Gate}
LONGEST_S = 600
LONGEST_NAME = 200  # characters
KEYS = {"name", "system", "classes", "frontend", *SECTIONS}
FRONTEND_KEYS = {"conf", "fingerprint", "weights"}
COMPARED = ("name", "revision", "sample_rate", "checkpoint_sha256", "weights_sha256", "package")
"""Of a front-end's fingerprint: what decides that it is the same."""


@dataclass(frozen=True)
class Description:
    """The JSON of a model file; what the fields are is said at `ModelFile`."""

    name: str
    system: System
    config: Config
    classes: tuple[str, ...]
    frontend: dict[str, Any] | None
    about: dict[str, Any]


def describe(path: Path, entries: Mapping[str, bytes]) -> Description:
    """Read the JSON entries, and hold them against each other.

    Args:
        path: the model file, for errors.
        entries: what `read_entries` gave.

    Raises: TrnetError for what is damaged or does not go together.
    """
    said, where = read_json(entries[MODEL], f"{path}: {MODEL}"), f"{path}: {MODEL}"
    if set(said) != KEYS:
        raise TrnetError(
            f"{where}: missing or unknown {brief(', '.join(sorted(KEYS ^ set(said))))}; pack the model again"
        )
    try:
        sections = {key: build(kind, said[key], key) for key, kind in SECTIONS.items()}
        system = build(System, said["system"], "system")
        too_long = sections["features"].span > LONGEST_S * sections["features"].sample_rate
    except (TrnetError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise TrnetError(f"{where}: {brief(error)}") from None
    if too_long:
        raise TrnetError(f"{where}: hears more than {LONGEST_S} s at once; pack a model of less")
    classes, frontend = said["classes"], said["frontend"]
    if not (isinstance(classes, list) and all(map(_is_name, classes)) and len(classes) > 1):
        raise TrnetError(f"{where}: 'classes' is no list of names; pack the model again")
    if len(set(classes)) != len(classes) or not _is_name(said["name"]):
        raise TrnetError(f"{where}: a class is listed twice, or 'name' is no name; pack the model again")
    if (frontend is not None) != system.hears_front_end:
        raise TrnetError(f"{where}: system and front-end do not go together; pack the model again")
    if frontend is not None:
        check_section(frontend, where)
    if (FRONTEND in entries) != (frontend is not None and frontend["weights"] == FRONTEND):
        raise TrnetError(f"{path}: {FRONTEND} and {MODEL} do not agree; pack the model again")
    about = read_json(entries[ABOUT], f"{path}: {ABOUT}")
    described = Description(said["name"], system, Config(**sections), tuple(classes), frontend, about)
    _check_graphs(path, entries, described)
    return described


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME


def check_section(section: Any, name: str) -> None:
    """Refuse what is not made as `pack_frontend` makes it.

    Args:
        section: what the model file says of its front-end.
        name: what to call it in errors.

    Raises: TrnetError.
    """
    ok = isinstance(section, dict) and set(section) == FRONTEND_KEYS
    ok = ok and isinstance(section["conf"], dict) and isinstance(section["fingerprint"], dict)
    ok = ok and all(key in section["fingerprint"] for key in COMPARED)
    ok = ok and section["weights"] in (FRONTEND, section["fingerprint"]["package"])
    if not (ok and _is_name(section["fingerprint"]["name"])):
        raise TrnetError(f"{name}: the front-end's section is damaged; pack the model again")


def of_graphs(name: str, system: System, config: Config, classes: tuple[str, ...], frontend: str | None) -> dict:
    """What ``config.json`` beside graphs says of the model; `frontend` is the name of it."""
    return {
        "name": name,
        "input": system.input,
        "classes": list(classes),
        "features": as_dict(config.features),
        "frontend": frontend,
    }


def _check_graphs(path: Path, entries: Mapping[str, bytes], described: Description) -> None:
    """Graphs, where there are some, are of this model."""
    if not any(name.startswith(GRAPHS) for name in entries):
        return
    where = GRAPHS + GRAPH_CONFIG
    said = read_json(entries.get(where, b"{}"), f"{path}: {where}")
    if said.get("made_from") != origin_of(entries):
        raise TrnetError(f"{path}: {GRAPHS} was made from other networks than the file holds; pack the model again")
    section = described.frontend
    frontend = None if section is None else section["fingerprint"]["name"]
    wanted = of_graphs(described.name, described.system, described.config, described.classes, frontend)
    differing = [key for key, value in json.loads(json_bytes(wanted)).items() if said.get(key) != value]
    if differing:
        raise TrnetError(f"{path}: {where} and {MODEL} do not agree ({', '.join(differing)}); pack the model again")
