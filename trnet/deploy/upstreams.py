"""The pretrained network behind a model's features: named or carried by a packed model, found when one is opened."""

import json
import logging
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from trnet.config import Features, Upstream
from trnet.deploy.archive import brief
from trnet.deploy.packed_upstream import PackedUpstream, plain_values
from trnet.features.upstream import UpstreamExtractor
from trnet.features.upstream.weights import CONFIG, PREPROCESSOR, find_folder, is_read, load_config, load_network
from trnet.features.upstream.weights import WEIGHTS as WEIGHT_FILES
from trnet.utils.errors import TrnetError

log = logging.getLogger(__name__)

OPTION = "--upstream FOLDER"
NO_DECODER = {
    **{"decoder_layers": 0, "decoder_ffn_dim": 8, "max_target_positions": 1, "vocab_size": 8},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
    **{"suppress_tokens": None, "begin_suppress_tokens": None},
}
"""Of an encoder-decoder whose decoder is not carried."""


def pack_features(features: Features, embed: bool = False) -> tuple[Features, dict[str, bytes]]:
    """Features as a model file names them, and the files of their network where the model is to carry it.

    Raises:
        TrnetError: If their network is not there, or there is none to be carried.
    """
    if not isinstance(features, Upstream):
        if embed:
            raise TrnetError(f"--embed-upstream: features of type {features.type} have no upstream; leave it out")
        return features, {}
    extractor = UpstreamExtractor(**features.options())
    place = hub_place(extractor.folder)
    name, revision = place or (re.sub(r"[^\w-][^\w.-]*", "-", extractor.folder.resolve().name), "")
    given = {key: getattr(features, key) for key in Upstream.model_fields}
    found = extractor.fingerprint()
    packed = PackedUpstream(
        **given | {"model": name, "revision": revision},
        layers=extractor.layers,
        weights=found["weights"],
        configuration=found["configuration"],
        dim=extractor.dim,
        family=str(load_config(extractor.folder).model_type),
        versions=found["versions"],
        source="embedded" if embed else "hub" if place else "folder",
    )
    return packed, _carried(extractor) if embed else {}


def hub_place(folder: Path) -> tuple[str, str] | None:
    """Id and commit of a folder in the hub's cache, ``models--org--name/snapshots/commit``; None of another."""
    repo = folder.parent.parent.name
    if folder.parent.name != "snapshots" or not repo.startswith("models--"):
        return None
    return repo.removeprefix("models--").replace("--", "/"), folder.name


def open_upstream(
    packed: PackedUpstream, files: Mapping[str, bytes], where: str, folder: str | Path | None = None
) -> UpstreamExtractor:
    """What computes a model's features.

    Args:
        packed: Of ``model.json``.
        files: Of the network, where the model carries it.
        where: The model, for errors.
        folder: The network's, where it is not taken from the model file or the hub.

    Raises:
        TrnetError: If transformers or the network are missing, or it has other weights or another configuration than
            at packing.
    """
    if files and folder is None:
        extractor = _unpacked(packed, files, where)
    else:
        extractor = UpstreamExtractor(**packed.options_in(_folder(packed, where, folder))).cut()
        found = extractor.fingerprint()
        if found["weights"] != packed.weights:
            raise TrnetError(
                f"{where}: was packed with other weights of {packed.model} (sha256 {packed.weights[:12]}...) than "
                f"{extractor.folder} has ({found['weights'][:12]}...); name the folder that has them: {OPTION}"
            )
        if packed.configuration not in ("", found["configuration"]):
            raise TrnetError(
                f"{where}: {extractor.folder} has the weights of {packed.model}, but another {CONFIG} or "
                f"{PREPROCESSOR} than at packing; fetch that network's own, or name the folder that has them: {OPTION}"
            )
    if extractor.dim != packed.dim:
        raise TrnetError(f"{where}: {extractor.dim} values a frame instead of {packed.dim}; pack the model again")
    if packed.versions != (here := UpstreamExtractor.versions()):
        then, now = (", ".join(f"{name} {each}" for name, each in sorted(v.items())) for v in (packed.versions, here))
        log.warning("%s: was packed with %s, here is %s: numbers may differ in their last digits", where, then, now)
    return extractor


def _folder(packed: PackedUpstream, where: str, folder: str | Path | None) -> Path:
    if folder is not None:
        if not Path(folder).expanduser().is_dir():
            raise TrnetError(f"--upstream {folder}: no such folder; name the one that holds {packed.model}")
        return Path(folder).expanduser()
    if packed.source == "folder":
        raise TrnetError(
            f"{where}: reads hidden states of {packed.model} (weights of sha256 {packed.weights[:12]}...), which lay "
            f"in a folder when it was packed; name yours: {OPTION}"
        )
    try:
        return find_folder(packed.model, packed.revision)
    except TrnetError as error:
        raise TrnetError(f"{where}: {error}: {OPTION}") from None


def _unpacked(packed: PackedUpstream, files: Mapping[str, bytes], where: str) -> UpstreamExtractor:
    """The network out of a model file, by way of a temporary folder, as transformers reads folders only."""
    with tempfile.TemporaryDirectory(prefix="trnet-") as root:
        folder = Path(root, "upstream")
        folder.mkdir()
        for name, body in files.items():
            (folder / name).write_bytes(body)
        try:
            extractor = UpstreamExtractor(**packed.options_in(folder)).cut()
            _ = extractor.network  # while its file is there
        except TrnetError as error:
            if not (reason := str(error)).count(str(folder)):
                raise
            reason = brief(reason.replace(str(folder), "upstream"))
            raise TrnetError(f"{where}: the network that it carries is damaged ({reason})") from None
    return extractor


def _carried(extractor: UpstreamExtractor) -> dict[str, bytes]:
    """Files of a folder that transformers reads: the encoder up to the deepest layer wanted, nothing of this machine.

    Layers behind are not in it; the configuration has one of them left, as a hidden state is what the next layer reads.
    """
    folder, deepest = extractor.folder, max(extractor.layers)
    config = plain_values(_json(folder / CONFIG))
    config["encoder_layers" if "encoder_layers" in config else "num_hidden_layers"] = min(deepest + 1, extractor.count)
    if "encoder_layers" in config:
        config.pop("num_hidden_layers", None)  # which some have twice
    prefix = ""
    if load_config(folder).is_encoder_decoder:
        prefix, config = "encoder.", config | NO_DECODER
    weights = load_network(folder, deepest).state_dict()
    kept = {prefix + name: _narrow(each) for name, each in weights.items() if is_read(prefix + name, deepest)}
    found = {CONFIG: _bytes(config), WEIGHT_FILES[0]: safetensors.torch.save(kept, metadata={"format": "pt"})}
    if (folder / PREPROCESSOR).is_file():
        found[PREPROCESSOR] = _bytes(plain_values(_json(folder / PREPROCESSOR)))
    return found


def _narrow(x: Tensor) -> Tensor:
    """The same numbers in the two bytes that they came from, where they came from two."""
    if x.dtype == torch.float32:
        for dtype in (torch.float16, torch.bfloat16):
            if torch.equal(x.to(dtype).float(), x):
                return x.to(dtype).contiguous()
    return x.contiguous()


def _json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())  # which transformers has read
    return value


def _bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
