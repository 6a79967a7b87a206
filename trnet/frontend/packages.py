"""Optional packages that front-ends come in: found when asked for; a missing one is told with the pip command."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from types import ModuleType

from trnet.errors import TrnetError


def import_package(frontend: str, module: str, package: str, install: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        frontend: name of the front-end that needs it, for the message.
        module: dotted name.
        package: name of the distribution.
        install: the command that installs it.

    Raises:
        TrnetError: it does not import.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise TrnetError(
            f"front-end {frontend}: the package {package} is not installed ({reason}): {install}"
        ) from error


def package_file(frontend: str, package: str, file: str, install: str) -> Path:
    """A file of an installed distribution, found without importing it.

    Args:
        frontend: name of the front-end that needs it, for the message.
        package: name of the distribution.
        file: path inside site-packages.
        install: the command that installs it.

    Raises:
        TrnetError: the distribution or the file is missing.
    """
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(file)))
    except importlib.metadata.PackageNotFoundError as error:
        raise TrnetError(f"front-end {frontend}: the package {package} is not installed: {install}") from error
    if not path.is_file():
        raise TrnetError(f"front-end {frontend}: no {file} in the package {package}: reinstall it: {install}")
    return path


def package_version(package: str) -> str:
    """Name and version of an installed distribution, as :meth:`trnet.frontend.FrontEnd.describe` gives them."""
    return f"{package} {importlib.metadata.version(package)}"
