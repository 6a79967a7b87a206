"""A packed model, one zip: configuration, weights, front-end, origin.

``model.json`` decides the predictions, ``about.json`` tells the origin, ``model.safetensors`` and
``frontend.safetensors`` hold the weights (the latter where the front-end's weights are not part of a package). The same
networks as graphs may lie in ``onnx/``, for prediction without PyTorch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.config import ModelConfig
from trnet.deploy.archive import (
    ABOUT,
    FRONTEND,
    GRAPHS,
    MODEL,
    WEIGHTS,
    brief,
    json_bytes,
    read_entries,
    write_archive,
)
from trnet.deploy.frontends import unpack_frontend
from trnet.deploy.metadata import EXTRACTOR, read_metadata
from trnet.deploy.tensors import read_tensors, write_tensors
from trnet.features import Extractor, fingerprint, make_extractor
from trnet.frontend import FrontEnd
from trnet.model.systems import make_system
from trnet.utils.errors import TrnetError, first_line
from trnet.utils.state_dict import misfits


@dataclass(frozen=True)
class ModelFile:
    """A trained system and all it needs.

    path: of the file. name: of the system. config: of its network. classes: in the order of the logits. weights: of the
    network. frontend: as `pack_frontend` makes it, None for a system without. frontend_weights: safetensors, where they
    are in the file. extractor: fingerprint of features that are not trnet's own. about: corpus, fold, scores, versions.
    graphs: what `graphs_of` makes of all that, by file; may be empty.
    """

    path: Path
    name: str
    config: ModelConfig
    classes: tuple[str, ...]
    weights: dict[str, Tensor]
    frontend: dict[str, Any] | None
    frontend_weights: bytes | None
    about: dict[str, Any]
    extractor: dict[str, Any] | None = None
    graphs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def frontend_name(self) -> str | None:
        """The front-end's name; None for a system without one."""
        return None if self.frontend is None else str(self.frontend["fingerprint"]["name"])

    def model_json(self) -> dict[str, Any]:
        """``model.json``; losses are not part of it."""
        settings = self.config.plain()
        settings["system"]["losses"] = []
        model = {"name": self.name, "classes": list(self.classes), "frontend": self.frontend, **settings}
        return model | ({} if self.extractor is None else {EXTRACTOR: self.extractor})

    def entries(self) -> dict[str, bytes]:
        """The entries of the zip."""
        entries = {
            MODEL: json_bytes(self.model_json()),
            ABOUT: json_bytes(self.about),
            WEIGHTS: write_tensors(self.weights),
        }
        if self.frontend_weights is not None:
            entries[FRONTEND] = self.frontend_weights
        return entries | {GRAPHS + name: body for name, body in sorted(self.graphs.items())}

    def make_network(self) -> nn.Module:
        """The network with its weights, in eval mode on the CPU.

        Raises:
            TrnetError: The weights are not this network's.
        """
        try:
            with torch.device("cpu" if self.config.own_classes else "meta"):  # meta: shapes alone, nothing is allocated
                outline = make_system(self.config, len(self.classes))
        except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:  # sizes that PyTorch cannot count
            raise TrnetError(f"{self.path}: {MODEL}: no network has such sizes ({brief(first_line(error))})") from None
        if faults := misfits(outline, self.weights):
            raise TrnetError(f"{self.path}: {WEIGHTS} does not fit {MODEL} ({faults}); pack the model again")
        network = make_system(self.config, len(self.classes))
        network.load_state_dict(self.weights)
        return network.requires_grad_(False).eval()

    def make_frontend(self, trust: bool = False) -> FrontEnd | None:
        """The front-end with its weights; None for a system without.

        Raises:
            TrnetError: See `unpack_frontend`; or its sampling rate is not that of the features.
        """
        if self.frontend is None:
            return None
        frontend = unpack_frontend(self.frontend, self.frontend_weights, str(self.path), trust)
        rate = self.config.features.sample_rate
        if frontend.sample_rate != rate:
            raise TrnetError(
                f"{self.path}: front-end at {frontend.sample_rate} Hz, features at {rate} Hz; pack the model again"
            )
        return frontend

    def make_extractor(self) -> Extractor:
        """What computes the features.

        Raises:
            TrnetError: It is another than was packed.
        """
        extractor = make_extractor(self.config.features)
        if self.extractor is not None and json.loads(json.dumps(extractor.fingerprint())) != self.extractor:
            kind = self.config.features.type
            raise TrnetError(f"{self.path}: was packed with other features {kind} than are installed; pack it again")
        return extractor


def write_model(model: ModelFile) -> None:
    """Write the zip to `model.path`, whole or not at all."""
    write_archive(model.path, model.entries())


def read_model(path: Path, trust: bool = False) -> ModelFile:
    """Read a zip that `write_model` wrote.

    Args:
        path: The file.
        trust: Import classes of its network that are not trnet's own.

    Raises:
        TrnetError: It is anything else, or not whole, or asks for trust.
    """
    entries = read_entries(path)
    found = read_metadata(path, entries, trust)
    if found.config is None:
        raise TrnetError(
            f"{path}: its network has {brief(found.foreign[0])}, a Python class that is not trnet's own, whose code "
            "would run; give --trust if you trust the model"
        )
    return ModelFile(
        path=Path(path),
        name=found.name,
        config=found.config,
        classes=found.classes,
        weights=read_tensors(entries[WEIGHTS], f"{path}: {WEIGHTS}"),
        frontend=found.frontend,
        frontend_weights=entries.get(FRONTEND),
        extractor=found.extractor,
        about=found.about,
        graphs={name.removeprefix(GRAPHS): body for name, body in entries.items() if name.startswith(GRAPHS)},
    )


def fingerprint_of(config: ModelConfig) -> dict[str, Any] | None:
    """The fingerprint of features that are not trnet's own; None for those that are."""
    return fingerprint(config.features) if config.features.is_own else None
