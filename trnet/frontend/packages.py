"""Optional packages that front-ends come in: found when asked for; a missing one is named with the pip command."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from types import ModuleType

from trnet.utils.errors import TrnetError, how_to_install, missing_package


def import_package(frontend: str, module: str, package: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        frontend: name of the front-end that needs it, for the message.
        module: dotted name.
        package: name of the distribution.
        extra: the extra of trnet that installs it.

    Raises:
        TrnetError: it does not import.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name in (None, module.partition(".")[0]):
            raise TrnetError(f"front-end {frontend}: {missing_package(package, extra)}") from error
        reason = f"it requires {error.name}"
    except ImportError as error:
        reason = " ".join(str(error).split())
    raise TrnetError(
        f"front-end {frontend}: the package {package} cannot be imported ({reason}); {how_to_install(extra)}"
    )


def package_file(frontend: str, package: str, file: str, extra: str) -> Path:
    """A file of an installed distribution, found without importing it.

    Args:
        frontend: name of the front-end that needs it, for the message.
        package: name of the distribution.
        file: path inside site-packages.
        extra: the extra of trnet that installs it.

    Raises:
        TrnetError: the distribution or the file is missing.
    """
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(file)))
    except importlib.metadata.PackageNotFoundError as error:
        raise TrnetError(f"front-end {frontend}: {missing_package(package, extra)}") from error
    if not path.is_file():
        raise TrnetError(
            f"front-end {frontend}: the package {package} has no {file}; reinstall it: pip uninstall "
            f"{package}, then {how_to_install(extra)}"
        )
    return path


def package_version(package: str) -> str:
    """Name and version of an installed distribution, as :meth:`trnet.frontend.FrontEnd.describe` gives them."""
    return f"{package} {importlib.metadata.version(package)}"
