"""What checksums cost when features are loaded, and what flushing to the disk costs when files are written."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from trnet.bench.storage import load_seconds, write_features, write_seconds
from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_output_options, hand_out, make_parser
from trnet.utils.errors import one_line_errors
from trnet.utils.provenance import commit, machine, versions

FILES = {"a stamp": 2_000, "best.pt": 4_700_000, "last.pt": 14_000_000, "feats.ark": 150_000_000}  # bytes


def get_parser() -> Parser:
    """Options."""
    parser = make_parser("bench_storage", __doc__)
    parser.add_argument("--utts", type=types.count(), default=1000, help="utterances of the features that are loaded")
    parser.add_argument("--rounds", type=types.count(), default=9, help="measure so often")
    parser.add_argument("--folder", type=types.path, help="on the disk to measure (default: where temporary files go)")
    add_output_options(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Measure in a temporary folder, and print a table."""
    opts = get_parser().parse_args(args)
    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": machine(torch.device("cpu")), "commit": commit(), "versions": versions()}
    with tempfile.TemporaryDirectory(dir=opts.folder) as temporary:
        folder = Path(temporary)
        write_features(folder / "features", opts.utts)
        found["load"] = load_seconds(folder / "features", opts.rounds)
        found["write"] = {name: write_seconds(folder, size, opts.rounds) for name, size in FILES.items()}
    hand_out(found, _markdown(found, opts.utts), opts)


def _markdown(found: dict[str, Any], utts: int) -> str:
    checked, unchecked = (1e6 * seconds / utts for seconds in found["load"])
    lines = [f"{found['machine']}; commit {found['commit']}; {found['versions']}.", ""]
    lines += [
        f"Loading features, processor time an utterance: {checked:.1f} us with checksums, {unchecked:.1f} us without, "
        f"{100 * (checked / unchecked - 1):+.1f} %.",
        "",
        "| file | bytes | flushed to the disk, ms | left to the system, ms |",
        "|---|--:|--:|--:|",
    ]
    for name, (flushed, left) in found["write"].items():
        lines.append(f"| {name} | {FILES[name]} | {1000 * flushed:.1f} | {1000 * left:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
