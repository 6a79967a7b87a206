"""What `make -C tools` finds missing in a Python, and that one which lacks nothing is used as it is."""

import importlib.util
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = """[project]
dependencies = ["torch>=2.6,<2.12", "numpy>=1.26"]
optional-dependencies = {mini = ["soxr>=0.3"], enh = ["pesq>=0.0.4"]}
"""


@pytest.fixture
def missing(tmp_path, monkeypatch):
    """missing(installed, extras): what the script says where these versions are installed."""
    spec = importlib.util.spec_from_file_location("check_requirements", ROOT / "tools/check_requirements.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    (tmp_path / "pyproject.toml").write_text(PROJECT)

    def ask(installed: dict[str, str], *extras: str) -> list[str]:
        def version(name: str) -> str:
            if name not in installed:
                raise metadata.PackageNotFoundError(name)
            return installed[name]

        monkeypatch.setattr(metadata, "version", version)
        return script.missing(tmp_path, list(extras))

    return ask


def test_what_is_absent_or_of_another_version_is_named(missing):
    there = {"torch": "2.11.0+cpu", "numpy": "2.4.6", "soxr": "1.0"}  # PyTorch's CPU build will do
    assert missing(there, "mini") == [] == missing(there)
    assert missing(there | {"torch": "2.6.0"}) == []
    assert missing(there | {"torch": "2.5.1"}) == missing(there | {"torch": "2.12.0"}) == ["torch>=2.6,<2.12"]
    assert missing({"torch": "2.11.1", "numpy": "1.20"}, "mini") == ["numpy>=1.26", "soxr>=0.3"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_python_that_lacks_nothing_is_used_though_trnet_is_not_installed_there():
    command = ["make", "-C", str(ROOT / "tools"), f"PYTHON={sys.executable}"]
    done = subprocess.run([*command, "-n"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"trnet runs with {sys.executable}" in done.stdout and "pip" not in done.stdout
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"export PYTHON={sys.executable} PYTHONPATH={ROOT}" in done.stdout or "/tools/venv/" in sys.executable


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_another_python_gets_all_but_what_is_compiled_in_one_piece(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho numpy\n")
    python.chmod(0o755)
    nowhere = f"VENV={tmp_path / 'venv'}"  # whatever is installed in tools/venv
    command = ["make", "-n", "-C", ROOT / "tools", f"PYTHON={python}", nowhere]
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"{python} lacks numpy" in done.stdout
    extras = re.findall(r'install -e "\S*\[(.*)\]"', done.stdout)
    assert extras == ["mini,deepfilternet,export", "enh"]  # the second may fail, for want of a compiler
    done = subprocess.run(["make", "-C", ROOT / "tools", "PYTHON=/no/such"], capture_output=True, text=True)
    assert done.returncode != 0 and "/no/such" in done.stderr
