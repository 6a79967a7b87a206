"""The packages that a session on a borrowed GPU needs: which are missing, and taking them from wheels.

Needs nothing but the standard library, as it runs before the packages are there.
"""

import ctypes
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from trnet.utils.errors import TrnetError, first_line

BESIDE = {
    "kaldiio": (),
    "pooch": ("platformdirs",),
    "pydantic": ("pydantic-core", "annotated-types", "typing-inspection"),
    "soundfile": ("cffi", "pycparser"),
}
"""What comes with a package and is seldom there already."""
TESTING = ("pytest",)
INSTALL_S = 120.0


def required(pyproject: Path) -> list[str]:
    """Names of the packages that trnet and its tests need, those of `BESIDE` included."""
    lines = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["dependencies"]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]
    return [*dict.fromkeys(each for name in (*names, *TESTING) for each in (name, *BESIDE.get(name, ())))]


def missing(names: Sequence[str], site: Path | None = None) -> list[str]:
    """Those that are not installed, neither for this Python nor in the folder `site`."""
    path = [*([str(site)] if site is not None else []), *sys.path]
    found = {_plain(each.metadata["Name"]) for each in importlib.metadata.distributions(path=path)}
    return [name for name in names if _plain(name) not in found]


def _plain(name: str | None) -> str:
    return re.sub(r"[-_.]+", "-", name or "").lower()


def install_wheels(wheels: Path, site: Path) -> None:
    """Install every wheel of a folder into the folder `site`, without a network.

    Raises:
        TrnetError: If there are no wheels, or pip cannot install them.
    """
    files = sorted(wheels.glob("*.whl"))
    if not files:
        raise TrnetError(f"--wheels {wheels}: has no wheels (*.whl)")
    done_before = site / ".wheels"
    names = "\n".join(file.name for file in files)
    if done_before.is_file() and done_before.read_text() == names:
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(wheels), "--no-deps"]
    pip += ["--no-compile", "--no-cache-dir", "--disable-pip-version-check", "--upgrade", "--target", str(site)]
    done = subprocess.run([*pip, *map(str, files)], capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr]
        raise TrnetError(f"--wheels {wheels}: pip cannot install them: {lines[0].strip()[:300]}")
    done_before.write_text(names)


def check_packages(pyproject: Path, site: Path) -> None:
    """Make sure that all is there.

    Raises:
        TrnetError: Naming what is missing.
    """
    if lacking := missing(required(pyproject), site):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise TrnetError(
            f"{sys.executable}: not installed: {' '.join(lacking)}; bring wheels of them for Python {version} in a "
            "folder, --wheels DIR"
        )


def check_gpu() -> None:
    """Make sure that there is a GPU, by CUDA's driver: PyTorch takes seconds to import.

    Raises:
        TrnetError: If there is none.
    """
    count = ctypes.c_int()
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        found = cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except OSError:
        found = False
    if not found:
        raise TrnetError("there is no GPU that CUDA can use on this machine; --ngpu 0 rehearses the session on a CPU")


def check_imports(modules: Sequence[str], environment: dict[str, str]) -> None:
    """Import modules in a new process.

    Raises:
        TrnetError: If that fails, with what Python says.
    """
    command = [sys.executable, "-c", "import " + ", ".join(modules)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise TrnetError(f"{sys.executable}: cannot import {', '.join(modules)}: {first_line(Exception(said[0]))}")
