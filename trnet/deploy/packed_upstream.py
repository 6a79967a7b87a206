"""Features of type upstream in a model file: which network, and its files where the model carries them.

Nothing here imports PyTorch. Of embedded files only these three names are read, weights in safetensors alone, and JSON
of plain values, in which transformers finds no code to run: no ``auto_map``, no attention of somebody's repository.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trnet.config import Fbank, Features, Upstream, problem
from trnet.config.features import OwnFeatures
from trnet.config.parts import chosen
from trnet.deploy.archive import UPSTREAM, UPSTREAM_CONFIG, UPSTREAM_FILES, UPSTREAM_WEIGHTS, brief, read_json
from trnet.utils.errors import TrnetError

WORD = re.compile(r"[\w.+-]{0,100}")
REFUSED = ("auto_map", "attn_implementation", "attention_implementation", "transformers_weights", "quantization_config")
"""Keys by which configurations bring code or files of elsewhere; so may those that begin with an underscore."""

LICENCES = {"whisper": "OpenAI's Whisper is under the MIT licence"}
"""By family, of those who first published it."""
FOUND = {
    "hub": "which is downloaded from the Hugging Face hub unless it is in its cache (--upstream FOLDER names a copy)",
    "folder": "of which a copy is needed (--upstream FOLDER)",
    "embedded": "which is in the model file",
}

Layer = Annotated[int, Field(ge=0, le=1000)]


class PackedUpstream(Upstream):
    """Features of type upstream in a model file.

    layers: the hidden states, by number. weights: sha256 of the network's. configuration: digest of its configuration
    and its input's; empty: not known. dim: values of a frame. family: the network's type. source: where the network is
    found: on the hub, in a folder that the user names, in the file.
    """

    layers: Annotated[list[Layer], Field(min_length=1)]
    weights: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    configuration: Annotated[str, Field(pattern=r"^([0-9a-f]{16})?$")] = ""
    dim: Annotated[int, Field(ge=1, le=100_000)]
    family: Annotated[str, Field(min_length=1, max_length=100)]
    versions: dict[str, str]
    source: Literal["hub", "folder", "embedded"]

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.model) or ".." in self.model or self.model.startswith("."):
            raise problem("model", "is neither an id of the hub nor the name of a folder")
        return self

    @property
    def known_dim(self) -> int:
        """Values of a frame."""
        return self.dim

    def options_in(self, folder: Path) -> dict[str, Any]:
        """What the extractor is made with, its network in a folder."""
        mine = {name: getattr(self, name) for name in Upstream.model_fields if name not in self.not_options}
        return mine | {"model": str(folder), "revision": "", "layer": self.layers}


def upstream_note(features: Features) -> str:
    """A sentence on the network behind a model's features, where it is found, and its licence; empty for others."""
    if not isinstance(features, PackedUpstream):
        return ""
    layers = ", ".join(map(str, features.layers))
    licence = LICENCES.get(features.family, "Its licence is its authors'")
    return (
        f"Features: hidden states {layers} of {features.model} (sha256 of the weights {features.weights}), "
        f"{FOUND[features.source]}. {licence}."
    )


PackedFeatures = Annotated[Features, chosen({"fbank": Fbank, "upstream": PackedUpstream}, OwnFeatures)]


def check_embedded(path: Path, entries: Mapping[str, bytes], features: Features) -> None:
    """Make sure that the file at `path` carries the network that ``model.json`` says it does, and nothing that runs.

    Raises:
        TrnetError: For files that are missing, too many, or not as `plain_values` leaves them.
    """
    there = {name for name in entries if name.startswith(UPSTREAM)}
    embedded = isinstance(features, PackedUpstream) and features.source == "embedded"
    if bool(there) != embedded or (embedded and not {UPSTREAM_CONFIG, UPSTREAM_WEIGHTS} <= there):
        raise TrnetError(f"{path}: {UPSTREAM} and model.json do not agree; pack the model again")
    for name in sorted(there - {UPSTREAM_WEIGHTS}):
        value = read_json(entries[name], f"{path}: {name}")
        if strays := sorted(value.keys() - plain_values(value).keys()):
            raise TrnetError(
                f"{path}: {name}: {brief(strays[0])} may bring code of elsewhere, which a model file must not; "
                "pack the model again"
            )


def plain_values(value: Mapping[str, Any]) -> dict[str, Any]:
    """Of a configuration of transformers what cannot bring code or a path: numbers, words, lists of these."""
    return {
        key: each
        for key, each in value.items()
        if not key.startswith("_") and key not in REFUSED and WORD.fullmatch(key) and _is_plain(each)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return WORD.fullmatch(value) is not None
    return value is None or isinstance(value, bool | int | float)


def embedded_files(entries: Mapping[str, bytes]) -> dict[str, bytes]:
    """The network's files by their names in its folder; none where a model does not carry it."""
    return {name.removeprefix(UPSTREAM): entries[name] for name in UPSTREAM_FILES if name in entries}
