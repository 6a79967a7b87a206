"""Where a model file lies: a zip, a folder that holds one, or a repository on the Hugging Face hub."""

import importlib
import os
from pathlib import Path
from types import ModuleType

from trnet.utils.errors import TrnetError, missing_package

PREFIX = "hf://"
FILE = "trnet.zip"
CARD = "README.md"
LIBRARY = "library_name: trnet"  # in the head of a card
MOST_OF_CARD = 10_000  # characters that are looked at


def locate(where: str | Path) -> Path:
    """The path of a model file, downloaded if it lies on the hub.

    Args:
        where: A zip; a folder that holds ``trnet.zip``; or ``hf://org/name[@revision]``, a repository on the hub and
            a branch, tag or commit of it (default: the newest).
    """
    if str(where).startswith(PREFIX):
        repo, revision = parse_repo(str(where))
        hub = load_hub()
        try:
            return Path(hub.hf_hub_download(repo, FILE, revision=revision))
        except Exception as error:  # the hub's own, and those of the network below it
            raise hub_error(str(where), error) from error
    path = Path(where)
    if path.is_dir() and not (path / FILE).is_file():
        raise TrnetError(f"{path}: holds no {FILE}; name a model file, or a folder that trnet.bin.push wrote")
    return path / FILE if path.is_dir() else path


def is_card(path: Path) -> bool:
    """Whether a file is the card of a model of trnet, and not the README of something else."""
    if not path.is_file():  # nor a pipe, which might never end
        return False
    try:
        with open(path, encoding="utf-8") as card:
            return LIBRARY in card.read(MOST_OF_CARD)
    except (OSError, UnicodeDecodeError):
        return False


def parse_repo(where: str) -> tuple[str, str | None]:
    """Repository and revision (None: the newest) of ``hf://org/name[@revision]``. TrnetError for anything else."""
    repo, _, revision = where.removeprefix(PREFIX).partition("@")
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise TrnetError(f"{where}: is not {PREFIX}org/name[@revision]; write it so")
    return repo, revision or None


def load_hub() -> ModuleType:
    """The package huggingface_hub, without its lines about each new try.

    Raises:
        TrnetError: If it is not installed.
    """
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # what fails in the end is told in one line
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise missing_package("huggingface_hub", "hub") from None


def hub_error(where: str, error: Exception) -> TrnetError:
    """A failed request to the hub, in one line."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return TrnetError(f"{where}: request to the hub failed ({reason}); check name, network and `hf auth whoami`")
