"""What a result was made with: commit, machine, versions."""

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

from trnet import __version__
from trnet.utils.text import counted

CHECKOUT = Path(__file__).parents[2]
CPUINFO = Path("/proc/cpuinfo")

PACKAGES = ("torch", "torchaudio", "numpy", "soxr", "scikit-learn")
CODE = ("*.py", "*.yaml", "*.sh", "*.cpp")  # untracked files that may decide a result
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # set where trnet runs inside a hook of another checkout
PATIENCE_S = 20.0  # of a git that waits for a slow disk


def commit() -> str:
    """Short commit of the checkout that holds this package; the version where git cannot say.

    ``-dirty`` stands behind it where tracked files differ from it, ``+untracked`` where there is code or configuration
    that git does not know. $TRNET_COMMIT comes before all: a copy of a checkout may be of a commit that git there does
    not know.
    """
    if named := os.environ.get("TRNET_COMMIT"):
        return named
    try:
        _git("ls-files", "--error-unmatch", "trnet/utils/provenance.py")  # not a checkout around an installed package
        described = _git("describe", "--always", "--dirty", "--abbrev=10")
        untracked = _git("ls-files", "--others", "--exclude-standard", "--", *CODE)
    except (OSError, subprocess.SubprocessError):
        return f"no checkout, version {__version__}"
    return described + ("+untracked" if untracked else "")


def _git(*words: str, folder: Path | None = None) -> str:
    """What git says of the checkout, or of another folder."""
    command = ["git", "-C", str(folder or CHECKOUT), *words]
    environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    done = subprocess.run(
        command,
        env=environment,
        timeout=PATIENCE_S,
        check=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return done.stdout.strip()


def machine(device: torch.device) -> str:
    """Processor and cores, or the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    about = _cpuinfo()
    model = about.get("model name") or platform.processor() or platform.machine()
    capability = torch.backends.cpu.get_cpu_capability()
    if "amx_bf16" in about.get("flags", "").split():  # products in bf16 are computed by it
        capability += " and AMX"
    cores, threads = counted(os.cpu_count() or 1, "core"), counted(torch.get_num_threads(), "thread")
    return f"{model}, {cores}, {capability}, {threads}"


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor, by name; empty elsewhere."""
    try:
        lines = CPUINFO.read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def differs(path: Path) -> bool | None:
    """Whether a file is not as the commit of its checkout has it; None where that is not known."""
    try:
        return bool(_git("status", "--porcelain", "--ignored", "--", str(path.resolve()), folder=path.resolve().parent))
    except (OSError, subprocess.SubprocessError):
        return None


def version_of() -> dict[str, str]:
    """Versions of Python and of the packages that decide numbers."""
    return {"Python": platform.python_version(), **{p: _version(p) for p in PACKAGES}}


@cache  # reading a package's metadata takes milliseconds, and each run asks several times
def _version(package: str) -> str:
    return importlib.metadata.version(package)


def versions() -> str:
    """The same in a line."""
    return ", ".join(f"{name} {version}" for name, version in version_of().items())
