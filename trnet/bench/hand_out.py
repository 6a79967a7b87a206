"""What a benchmark measured: printed, and written where asked for."""

import json
from argparse import Namespace
from typing import Any

from trnet.utils.files import write_text


def hand_out(numbers: dict[str, Any], text: str, opts: Namespace) -> None:
    """Print the tables `text`, and write them and the `numbers` as ``--json`` and ``--markdown`` ask."""
    print(text)
    if opts.json:
        write_text(opts.json, json.dumps(numbers, indent=1) + "\n")
    if opts.markdown:
        write_text(opts.markdown, text)
