"""Networks on disk or on the Hugging Face hub: where they lie, their digest, and how they are loaded."""

import functools
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trnet.utils.errors import TrnetError, first_line, how_to_install, missing_package
from trnet.utils.stamp import digest

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
KEY = "features.model"
FROM_DISK = {"local_files_only": True, "trust_remote_code": False}
ATTENTION = ("eager", "sdpa", "flash_attention_2")
OF_SAVING = ("_name_or_path", "architectures", "dtype", "processor_class", "torch_dtype", "transformers_version")
"""Keys of a configuration that say how it was saved, not what it is of."""
LAYER = re.compile(r"(?:encoder\.)?layers\.(\d+)\.")  # begins a weight's name; data2vec has other layers within


@functools.lru_cache(maxsize=16)
def find_folder(model: str, revision: str = "") -> Path:
    """The folder of a network; one of the hub is downloaded unless it is in the hub's cache.

    Raises:
        TrnetError: If there is no such folder, it lacks a file, or the hub cannot be reached.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        folder = _from_hub(model, revision)
    if not (folder / CONFIG).is_file():
        raise TrnetError(f"{KEY}: {folder} has no {CONFIG}; name a folder that transformers saved")
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise TrnetError(f"{KEY}: {folder} has no weights (none of {', '.join(WEIGHTS)}); copy them there")
    return folder


def _from_hub(model: str, revision: str) -> Path:
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise TrnetError(f"{KEY}: {model}: no such folder; correct it, or name an id of the Hugging Face hub")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        raise TrnetError(f"{KEY}: {missing_package('huggingface_hub', 'upstream')}") from None
    folder = Path()
    try:
        for weights in ("model*.safetensors*", "pytorch_model*"):  # the latter in older repositories
            wanted = [CONFIG, PREPROCESSOR, weights]
            folder = Path(snapshot_download(model, revision=revision or None, allow_patterns=wanted))
            if any((folder / name).is_file() for name in WEIGHTS):
                break
        return folder
    except (LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
    raise TrnetError(
        f"{KEY}: {model}: is no folder, and the Hugging Face hub does not give it ({reason}); where the hub cannot be "
        f"reached, fetch it elsewhere (hf download {model} --local-dir FOLDER) and name the folder"
    )


@functools.lru_cache(maxsize=16)
def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights: of their one file, as the hub shows it, or of the list of their files' digests."""
    first = next(folder / name for name in WEIGHTS if (folder / name).is_file())
    if not first.name.endswith(".index.json"):
        return _sha256(first)
    try:
        files = sorted(set(json.loads(first.read_text())["weight_map"].values()))
        lines = [f"{_sha256(folder / Path(name).name)}  {name}\n" for name in files]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrnetError(f"{KEY}: {first}: is damaged ({first_line(error)}); fetch it again") from None
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def configuration_digest(folder: Path) -> str:
    """Of what ``config.json`` and ``preprocessor_config.json`` say of the network and of its input."""
    found = {}
    for name in (CONFIG, PREPROCESSOR):
        if (folder / name).is_file():
            with reported(folder, name):
                values = json.loads((folder / name).read_text())
                found[name] = {key: value for key, value in values.items() if key not in OF_SAVING}
    return digest(found)


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise TrnetError(f"{KEY}: {path}: cannot be read ({error.strerror}); fetch it again") from None


def transformers() -> Any:
    """The package, imported when it is needed, without its own lines on standard error."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        import transformers as package
    except ImportError as error:
        if getattr(error, "name", "") not in ("transformers", None):
            raise TrnetError(
                f"features.type: upstream: transformers cannot be imported ({first_line(error)}); "
                f"{how_to_install('upstream')}"
            ) from None
        raise TrnetError(f"features.type: upstream: {missing_package('transformers', 'upstream')}") from None
    package.logging.set_verbosity_error()
    package.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    return package


@contextmanager
def reported(folder: Path, what: str) -> Iterator[None]:
    """Within the block: whatever a damaged or unfit file of a network's folder raises is one line."""
    try:
        yield
    except (TrnetError, MemoryError):
        raise
    except Exception as error:  # of files that are damaged, whatever transformers and safetensors raise
        raise TrnetError(
            f"{KEY}: {folder}: {what} cannot be loaded ({type(error).__name__}: {first_line(error)}); "
            "fetch it again, or name a network for speech"
        ) from None


@functools.lru_cache(maxsize=16)
def load_config(folder: Path) -> Any:
    """The network's configuration (a ``PretrainedConfig``)."""
    with reported(folder, CONFIG):
        config = transformers().AutoConfig.from_pretrained(folder, **FROM_DISK)
        if getattr(config, "_attn_implementation", None) not in (None, *ATTENTION):  # one of a hub is code of that hub
            raise ValueError("attn_implementation is none of transformers' own")
        return config


def is_read(name: str, deepest: int | None = None) -> bool:
    """Whether a weight decides hidden states up to `deepest` (None: any).

    Those of a decoder, of a layer behind, and what training puts in the place of masked frames do not.
    """
    layer = LAYER.match(name)
    if name.startswith("decoder.") or name == "masked_spec_embed":
        return False
    return layer is None or deepest is None or int(layer[1]) < deepest


def load_preprocessor(folder: Path) -> Any:
    """The network's feature extractor of transformers; None where its folder has none: plain samples are read then."""
    if not (folder / PREPROCESSOR).is_file():
        return None
    with reported(folder, PREPROCESSOR):
        return transformers().AutoFeatureExtractor.from_pretrained(folder, **FROM_DISK)


def load_network(folder: Path, deepest: int | None = None) -> nn.Module:
    """The network in float32 in eval mode, of several parts its encoder.

    Args:
        folder: Of `find_folder`.
        deepest: The last hidden state that is wanted (None: all): layers behind it may have no weights.

    Raises:
        TrnetError: If weights are damaged, missing, or of another network.
    """
    with reported(folder, "the network"):
        package, config = transformers(), load_config(folder)
        network, info = package.AutoModel.from_pretrained(
            folder, **FROM_DISK, dtype=torch.float32, output_loading_info=True
        )
        missing = sorted(name for name in info["missing_keys"] if is_read(name, deepest))
        if missing:
            raise ValueError(f"weights lack {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1)))
        if getattr(config, "is_encoder_decoder", False):
            network = network.get_encoder()
    module: nn.Module = network.requires_grad_(False).eval()
    return module
