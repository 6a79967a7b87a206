"""What a benchmark measured: printed, and written where asked for."""

import json
from argparse import Namespace
from typing import Any

from trnet.bin import option_types as types
from trnet.bin.options import Parser
from trnet.utils.files import write_text


def add_output_options(parser: Parser) -> None:
    """Where the numbers go."""
    parser.add_argument("--json", type=types.path, help="write the numbers there")
    parser.add_argument("--markdown", type=types.path, help="write the tables there")


def hand_out(said: dict[str, Any], text: str, opts: Namespace) -> None:
    """Print the tables `text`, and write them and the numbers `said` as the options ask."""
    print(text)
    if opts.json:
        write_text(opts.json, json.dumps(said, indent=1) + "\n")
    if opts.markdown:
        write_text(opts.markdown, text)
