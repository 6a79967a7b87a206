"""A packed model, one zip: what it is built from, its weights, its front-end, where it comes from.

``model.json`` decides what comes out, ``about.json`` says how the model came about, ``model.safetensors`` and
``frontend.safetensors`` hold the weights (the latter where the front-end's weights are not part of a package). The same
networks as graphs may lie in ``onnx/``, for answers without PyTorch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trnet.config import Config, System, as_dict
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
from trnet.deploy.metadata import SECTIONS, describe
from trnet.deploy.tensors import read_tensors, write_tensors
from trnet.frontend import FrontEnd
from trnet.train.forward import make_model
from trnet.utils.errors import TrnetError, first_line
from trnet.utils.state_dict import misfits


@dataclass(frozen=True)
class ModelFile:
    """A trained system and all it needs.

    path: where the file lies. name: of the system. config: features and sizes; nothing else of it counts. classes: in
    the order of the logits. weights: of the network. frontend: what `pack_frontend` says, None for a system that hears
    none. frontend_weights: safetensors, where they are in the file. about: corpus, fold, scores, versions. graphs: what
    `graphs_of` made of all that, by file; may be empty.
    """

    path: Path
    name: str
    system: System
    config: Config
    classes: tuple[str, ...]
    weights: dict[str, Tensor]
    frontend: dict[str, Any] | None
    frontend_weights: bytes | None
    about: dict[str, Any]
    graphs: Mapping[str, bytes] = field(default_factory=dict)

    def entries(self) -> dict[str, bytes]:
        """What goes into the zip."""
        sections = {key: as_dict(getattr(self.config, key)) for key in SECTIONS}
        model = {"name": self.name, "system": as_dict(self.system), "classes": list(self.classes), **sections}
        entries = {
            MODEL: json_bytes(model | {"frontend": self.frontend}),
            ABOUT: json_bytes(self.about),
            WEIGHTS: write_tensors(self.weights),
        }
        if self.frontend_weights is not None:
            entries[FRONTEND] = self.frontend_weights
        return entries | {GRAPHS + name: body for name, body in sorted(self.graphs.items())}

    def make_network(self) -> nn.Module:
        """The network with its weights, in eval mode on the CPU.

        Raises: TrnetError if the weights are not this network's.
        """
        if len(self.config.encoder.channels) > len(self.weights):
            raise TrnetError(f"{self.path}: {WEIGHTS} does not fit {MODEL} (too few weights); pack the model again")
        try:
            with torch.device("meta"):  # shapes alone: what the weights do not fill is not allocated
                outline = make_model(self.config, self.system, len(self.classes))
        except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:  # sizes that PyTorch cannot count
            raise TrnetError(f"{self.path}: {MODEL}: no network has such sizes ({brief(first_line(error))})") from None
        biases = [key for key in outline.state_dict() if "classifier." in key and key.endswith(".bias")]
        logits = self.weights.get(biases[-1])
        if logits is not None and logits.ndim == 1 and len(logits) != len(self.classes):
            raise TrnetError(
                f"{self.path}: lists {len(self.classes)} classes for {len(logits)} logits; pack the model again"
            )
        if faults := misfits(outline, self.weights):
            raise TrnetError(f"{self.path}: {WEIGHTS} does not fit {MODEL} ({faults}); pack the model again")
        network = make_model(self.config, self.system, len(self.classes))
        network.load_state_dict(self.weights)
        return network.requires_grad_(False).eval()

    def make_frontend(self, trust: bool = False) -> FrontEnd | None:
        """The front-end with its weights; None for a system that hears none.

        Raises: TrnetError as `unpack_frontend`, or for a front-end of another sampling rate than the features'.
        """
        if self.frontend is None:
            return None
        frontend = unpack_frontend(self.frontend, self.frontend_weights, str(self.path), trust)
        if frontend.sample_rate != self.config.features.sample_rate:
            raise TrnetError(
                f"{self.path}: front-end at {frontend.sample_rate} Hz, features at {self.config.features.sample_rate} "
                "Hz; pack the model again"
            )
        return frontend


def write_model(model: ModelFile) -> None:
    """Write the zip to `model.path`, whole or not at all."""
    write_archive(model.path, model.entries())


def read_model(path: Path) -> ModelFile:
    """Read a zip that `write_model` wrote.

    Raises: TrnetError in one line if it is anything else, or not whole.
    """
    entries = read_entries(path)
    said = describe(path, entries)
    return ModelFile(
        path=Path(path),
        name=said.name,
        system=said.system,
        config=said.config,
        classes=said.classes,
        weights=read_tensors(entries[WEIGHTS], f"{path}: {WEIGHTS}"),
        frontend=said.frontend,
        frontend_weights=entries.get(FRONTEND),
        about=said.about,
        graphs={name.removeprefix(GRAPHS): body for name, body in entries.items() if name.startswith(GRAPHS)},
    )
