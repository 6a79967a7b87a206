"""The directive ``commands``: every entry point of trnet with its options, from the parsers themselves."""

import importlib
import os
import pkgutil
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import trnet.bin

WIDTH = 110


class Commands(SphinxDirective):
    """One section a command: what ``--help`` says."""

    def run(self) -> list[nodes.Node]:
        """The sections, in alphabetical order."""
        os.environ["COLUMNS"] = str(WIDTH)  # argparse wraps to it
        sections = []
        for module in pkgutil.iter_modules(trnet.bin.__path__):
            entry = importlib.import_module(f"trnet.bin.{module.name}")
            if hasattr(entry, "get_parser"):
                sections.append(self._section(module.name, entry.get_parser().format_help()))
        return sections

    def _section(self, verb: str, text: str) -> nodes.section:
        section = nodes.section(ids=[nodes.make_id(verb)], names=[verb])
        section += nodes.title(text=verb)
        section += nodes.literal_block(text, text, language="text")
        return section


def setup(app: Sphinx) -> dict[str, Any]:
    """Register it."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
