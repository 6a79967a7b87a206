"""The directive ``package``: the modules of a package with their docstrings, one section a module."""

import importlib
import pkgutil
import re
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

# code in backticks, which stays, or a character that is markup in reStructuredText and is meant as it is in docstrings
MARKUP = re.compile(r"``.*?``|`[^`]*`|(?<!\\)[*|]|(?<=\w)_(?!\w)", re.DOTALL)


def escape(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Escape markup in a docstring's `lines`, in place."""
    text = MARKUP.sub(lambda found: found[0] if found[0][0] == "`" else f"\\{found[0]}", "\n".join(lines))
    lines[:] = [line for line in text.split("\n") if not line.startswith("Alias for field number")]  # of named tuples


class Package(SphinxDirective):
    """`{package} trnet.audio` in a Markdown page: sphinx's autodoc for each module of it, subpackages included."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The sections, in alphabetical order; the package's own ``__init__`` has none if it only has a docstring."""
        package = importlib.import_module(self.arguments[0])
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.") if hasattr(package, "__path__") else ()
        lines: list[str] = []
        for name in (package.__name__, *sorted(module.name for module in found)):
            options = ["   :members:", "   :ignore-module-all:", "   :member-order: bysource"]
            lines += [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", *options, "```", ""]
        parent = nodes.section(document=self.state.document)
        nested_parse_with_titles(self.state, StringList(lines, self.arguments[0]), parent)
        return parent.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register it."""
    app.add_directive("package", Package)
    app.connect("autodoc-process-docstring", escape, priority=600)  # after napoleon
    return {"parallel_read_safe": True}
