"""Sphinx: ``python -m sphinx -W docs docs/_build`` (``pip install -e '.[docs]'``)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from pygments.lexers.special import TextLexer  # noqa: E402
from sphinx.highlighting import lexers  # noqa: E402

from trnet import __version__  # noqa: E402

project, release, language = "trnet", __version__, "en"
extensions = [
    *("myst_parser", "sphinx.ext.mathjax", "sphinx.ext.autodoc", "sphinx.ext.napoleon"),
    *("commands", "packages", "recipe_help"),  # of docs/_ext
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
default_role = "code"  # single backticks in docstrings
autodoc_typehints = "signature"
autodoc_use_type_comments = False  # there are none
napoleon_use_ivar = True  # attributes as a list
suppress_warnings = ["ref.python"]  # words in docstrings that several objects have as their name
toc_object_entries = False  # the navigation would list every function
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "trnet"
lexers["layers"] = TextLexer()  # the picture in architecture.md
