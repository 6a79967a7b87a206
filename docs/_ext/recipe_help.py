"""The directive ``recipe-help``: what ``run.sh --help`` of a recipe prints."""

import re
import subprocess
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]


def recipe_help(recipe: str) -> str:
    """The help of a recipe's run.sh, without the number of this machine's processors.

    Args:
        recipe: Its folder in egs, e.g. ``nemo/ser1``.
    """
    command = ["bash", str(ROOT / "egs" / recipe / "run.sh"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return re.sub(r"(--nj +')\d+'", r"\g<1>N'", done.stdout)


class RecipeHelp(SphinxDirective):
    """``recipe-help:: nemo/ser1``: a block of text."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The block."""
        text = recipe_help(self.arguments[0])
        return [nodes.literal_block(text, text, language="text")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register it."""
    app.add_directive("recipe-help", RecipeHelp)
    return {"parallel_read_safe": True}
