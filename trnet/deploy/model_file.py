"""A packed model, one zip: configuration, weights, front-end, origin.

``model.json`` decides the predictions, ``about.json`` names the origin, ``model.safetensors`` and
``frontend.safetensors`` hold the weights (the latter where the front-end's weights are not part of a package). The same
networks as graphs may lie in ``onnx/``, for prediction without PyTorch.
"""

import json
from collections.abc import Mapping, Sequence
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
    read_json,
    write_archive,
)
from trnet.deploy.frontends import unpack_frontend
from trnet.deploy.metadata import ModelSettings, PackedFrontEnd, read_model_settings
from trnet.deploy.tensors import read_tensors, write_tensors
from trnet.features import Extractor, fingerprint, make_extractor
from trnet.frontend import FrontEnd
from trnet.model.systems import make_system
from trnet.utils.errors import TrnetError, first_line
from trnet.utils.state_dict import misfits


@dataclass(frozen=True)
class ModelFile:
    """A trained system and all it needs.

    path: of the file. settings: ``model.json``. weights: of the network. frontend_weights: safetensors, where they are
    in the file. about: corpus, fold, scores, versions. graphs: what `graphs_of` makes of all that, by file; may be
    empty.
    """

    path: Path
    settings: ModelSettings
    weights: dict[str, Tensor]
    frontend_weights: bytes | None
    about: dict[str, Any]
    graphs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in the order of the logits."""
        return tuple(self.settings.classes)

    @property
    def frontend_name(self) -> str | None:
        """The front-end's name; None for a system without one."""
        return None if self.settings.frontend is None else self.settings.frontend.name

    def entries(self) -> dict[str, bytes]:
        """The entries of the zip."""
        entries = {
            MODEL: json_bytes(self.settings.plain()),
            ABOUT: json_bytes(self.about),
            WEIGHTS: write_tensors(self.weights),
        }
        if self.frontend_weights is not None:
            entries[FRONTEND] = self.frontend_weights
        return entries | {GRAPHS + name: body for name, body in sorted(self.graphs.items())}

    def make_network(self) -> nn.Module:
        """The network with its weights, in eval mode on the CPU.

        Raises:
            TrnetError: If they do not fit.
        """
        try:
            with torch.device(
                "cpu" if self.settings.own_classes else "meta"
            ):  # meta: shapes alone, nothing is allocated
                outline = make_system(self.settings, len(self.classes))
        except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:  # sizes that PyTorch cannot count
            raise TrnetError(f"{self.path}: {MODEL}: no network has such sizes ({brief(first_line(error))})") from None
        weights = in_float32(self.weights)
        if faults := misfits(outline, weights):
            raise TrnetError(f"{self.path}: {WEIGHTS} does not fit {MODEL} ({faults}); pack the model again")
        network = make_system(self.settings, len(self.classes))
        network.load_state_dict(weights)
        return network.requires_grad_(False).eval()

    def make_frontend(self, trust: bool = False) -> FrontEnd | None:
        """The front-end with its weights; None for a system without."""
        if self.settings.frontend is None:
            return None
        frontend = unpack_frontend(self.settings.frontend, self.frontend_weights, str(self.path), trust)
        rate = self.settings.features.sample_rate
        if frontend.sample_rate != rate:
            raise TrnetError(
                f"{self.path}: front-end at {frontend.sample_rate} Hz, features at {rate} Hz; pack the model again"
            )
        return frontend

    def make_extractor(self) -> Extractor:
        """What computes the features.

        Raises:
            TrnetError: If it is another than was packed.
        """
        extractor = make_extractor(self.settings.features)
        if self.settings.extractor not in (None, json.loads(json.dumps(extractor.fingerprint()))):
            kind = self.settings.features.type
            raise TrnetError(f"{self.path}: was packed with other features {kind} than are installed; pack it again")
        return extractor


def in_float16(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights whose matrices and kernels take two bytes a value; vectors, which are few, stay as they are.

    What is too large for float16 becomes infinite, which `ModelFile.make_network` finds.
    """
    return {name: x.half() if x.dtype == torch.float32 and x.ndim > 1 else x for name, x in weights.items()}


def in_float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of which those in float16 are float32, the same numbers."""
    return {name: x.float() if x.dtype == torch.float16 else x for name, x in weights.items()}


def make_settings(
    config: ModelConfig,
    name: str,
    classes: Sequence[str],
    frontend: PackedFrontEnd | None,
    temperature: float | None = None,
) -> ModelSettings:
    """``model.json`` of a system, without its losses; see `ModelSettings`."""
    parts = {key: getattr(config, key) for key in ModelConfig.model_fields}
    parts["system"] = config.system.replace(losses=[])
    extractor = fingerprint(config.features) if config.features.is_own else None
    return ModelSettings(
        **parts, name=name, classes=list(classes), frontend=frontend, extractor=extractor, temperature=temperature
    )


def write_model(model: ModelFile) -> None:
    """Write the zip to `model.path`, whole or not at all."""
    write_archive(model.path, model.entries())


def read_model(path: Path, trust: bool = False) -> ModelFile:
    """Read a zip that `write_model` wrote. TrnetError if it is no whole one, or needs `trust` for its classes."""
    entries = read_entries(path)
    return ModelFile(
        path=Path(path),
        settings=read_model_settings(path, entries, trust),
        weights=read_tensors(entries[WEIGHTS], f"{path}: {WEIGHTS}"),
        frontend_weights=entries.get(FRONTEND),
        about=read_json(entries[ABOUT], f"{path}: {ABOUT}"),
        graphs={name.removeprefix(GRAPHS): body for name, body in entries.items() if name.startswith(GRAPHS)},
    )
