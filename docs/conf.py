"""Sphinx: ``python -m sphinx -W docs docs/_build`` (``pip install -e '.[docs]'``)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from trnet import __version__  # noqa: E402

project, release, language = "trnet", __version__, "en"
extensions = ["myst_parser", "sphinx.ext.mathjax", "commands"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "trnet"
