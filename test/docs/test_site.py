"""The documentation builds without a warning, and holds what it is made from."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="pip install -e '.[docs]'")
pytest.importorskip("myst_parser", reason="pip install -e '.[docs]'")
pytest.importorskip("furo", reason="pip install -e '.[docs]'")

ROOT = Path(__file__).parents[2]
# python -m sphinx without the garbage collector, which takes a sixth of its time
BUILD = "import gc, sys; gc.disable(); from sphinx.cmd.build import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The pages as HTML."""
    folder = tmp_path_factory.mktemp("site")
    # furo writes the whole navigation into each page; links of types in signatures take a fifth of the time
    quick = ("-D", "html_theme=basic", "-D", "autodoc_typehints=none")
    command = [sys.executable, "-c", BUILD, "-W", "--keep-going", "-q", *quick, ROOT / "docs", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def text_of(page: Path) -> str:
    """A page's text, without tags, each run of blanks as one."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))).split())


@pytest.mark.slow
def test_the_site_has_every_command_and_option(site):
    commands = text_of(site / "commands.html")
    for module in (ROOT / "trnet/bin").glob("*.py"):
        if "def get_parser" in module.read_text(encoding="utf-8"):
            assert f"python -m trnet.bin.{module.stem} [-h]" in commands, module.stem
    options = text_of(site / "options.html")
    assert "--test-corpus" in options and "--frontends" in options


@pytest.mark.slow
def test_the_site_has_every_module(site):
    reference = "".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    for path in (ROOT / "trnet").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not module.startswith("trnet.bin") and module != "trnet":
            assert f'id="module-{module}"' in reference, module


@pytest.mark.slow
def test_the_site_has_every_equation_and_the_results(site):
    equations = text_of(site / "equations.html")
    assert all(f"Eq. {number}" in equations for number in (1, 5, 6, 7, 8))
    for page in (site / "results").glob("*.html"):
        assert "<table" in page.read_text(encoding="utf-8"), page.name
