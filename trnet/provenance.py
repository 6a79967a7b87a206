"""What a result was made with: commit, machine, versions."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

from trnet import __version__


def commit() -> str:
    """Short commit of the checkout that holds this package, marked where files differ from it; or the version."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"no checkout, version {__version__}"


def machine(device: torch.device) -> str:
    """Processor and cores, or the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{model}, {os.cpu_count()} cores, {capability}, {torch.get_num_threads()} threads"


def versions() -> str:
    """Versions of Python and of the packages that decide numbers."""
    packages = ("torch", "torchaudio", "numpy", "scikit-learn")
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in packages)]
    )
