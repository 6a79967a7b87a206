"""Where a model file lies: a zip, a folder that holds one, or a repository on the Hugging Face hub."""

import importlib
from pathlib import Path
from types import ModuleType

from trnet.utils.errors import TrnetError, missing_package

PREFIX = "hf://"
FILE = "trnet.zip"


def locate(where: str | Path) -> Path:
    """The model file that a name stands for.

    Args:
        where: a zip; a folder that holds ``trnet.zip``; or ``hf://org/name``, a repository on the hub, with ``@`` and a
            branch, tag or commit where not the newest is meant.

    Raises: TrnetError if it cannot be had, or the package huggingface_hub is not installed.
    """
    if str(where).startswith(PREFIX):
        repo, revision = repository(str(where))
        hub = client()
        try:
            return Path(hub.hf_hub_download(repo, FILE, revision=revision))
        except Exception as error:  # the hub's own, and those of the network below it
            raise trouble(str(where), error) from error
    path = Path(where)
    if path.is_dir() and not (path / FILE).is_file():
        raise TrnetError(f"{path}: holds no {FILE}; name a model file, or a folder that trnet.bin.push wrote")
    return path / FILE if path.is_dir() else path


def repository(where: str) -> tuple[str, str | None]:
    """Name and revision (None: the newest) of ``hf://org/name@revision``.

    Raises: TrnetError if it is not written so.
    """
    repo, _, revision = where.removeprefix(PREFIX).partition("@")
    owner, slash, name = repo.partition("/")
    if not (owner and slash and name) or "/" in name:
        raise TrnetError(f"{where}: is not {PREFIX}org/name; write it so, with @revision behind it where you want one")
    return repo, revision or None


def client() -> ModuleType:
    """The package huggingface_hub.

    Raises: TrnetError if it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise missing_package("huggingface_hub", "hub") from None


def trouble(where: str, error: Exception) -> TrnetError:
    """What went wrong with the hub, in one line."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return TrnetError(f"{where}: the hub says no ({reason}); check the name, the network and `hf auth whoami`")
