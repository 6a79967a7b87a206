"""Optional packages of front-ends: imported on use; a missing one is reported with the pip command."""

import importlib
import importlib.metadata
from pathlib import Path
from types import ModuleType

from trnet.utils.errors import TrnetError, how_to_install, missing_package


def import_package(frontend: str, module: str, package: str = "", extra: str = "") -> ModuleType:
    """Import a module of an optional package; TrnetError if that fails.

    ``package`` (the distribution) and ``extra`` (of trnet, installs it) are by default named as the front-end.
    """
    package, extra = package or frontend, extra or frontend
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
    """A file of an installed distribution, found without importing it; ``file`` is its path inside site-packages.

    Raises:
        TrnetError: If the distribution or the file is missing.
    """
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(file)))
    except importlib.metadata.PackageNotFoundError as error:
        raise TrnetError(f"front-end {frontend}: {missing_package(package, extra)}") from error
    if not path.is_file():
        raise TrnetError(
            f"front-end {frontend}: the package {package} has no {file}; reinstall it: pip uninstall {package}, then "
            f"{how_to_install(extra)}"
        )
    return path


def package_version(package: str) -> str:
    """Name and version of an installed distribution, for :meth:`trnet.frontend.FrontEnd.describe`."""
    return f"{package} {importlib.metadata.version(package)}"
