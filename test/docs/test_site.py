"""The documentation builds without a warning, and holds what it is made from."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="pip install -e '.[docs]'")
pytest.importorskip("myst_parser", reason="pip install -e '.[docs]'")
pytest.importorskip("furo", reason="pip install -e '.[docs]'")

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    commands = (tmp_path / "commands.html").read_text(encoding="utf-8")
    for module in (ROOT / "trnet/bin").glob("*.py"):
        if "def get_parser" in module.read_text(encoding="utf-8"):
            assert f"python -m trnet.bin.{module.stem} [-h]" in commands.replace("\n", " "), module.stem
    equations = (tmp_path / "equations.html").read_text(encoding="utf-8")
    assert all(f"Eq. {number}" in equations for number in (1, 5, 6, 7, 8))
