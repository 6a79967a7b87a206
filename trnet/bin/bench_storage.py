"""How fast features are loaded, and what checksums cost there; what flushing files to the disk costs."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from trnet.bench.storage import CONDITIONS, load_seconds, stored_bytes, write_features, write_seconds
from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_output_options, hand_out, make_parser
from trnet.utils.errors import one_line_errors
from trnet.utils.provenance import commit, machine, versions

FILES = {"a stamp": 2_000, "best.pt": 4_700_000, "last.pt": 14_000_000, "feats.ark": 150_000_000}  # bytes
STORED = {"two bytes a value": 3, "four bytes a value": 0}  # compression
NEMO = 12 * 3076  # matrices that the first run on nEMO waits for


def get_parser() -> Parser:
    """Options."""
    parser = make_parser("bench_storage", __doc__)
    parser.add_argument(
        "--utts", type=types.count(), default=3076, help="utterances of each set of features (nEMO: 3076)"
    )
    parser.add_argument("--rounds", type=types.count(), default=5, help="measure so often")
    parser.add_argument("--folder", type=types.path, help="on the disk to measure (default: where temporary files go)")
    add_output_options(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Measure in a temporary folder, and print a table."""
    opts = get_parser().parse_args(args)
    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": machine(torch.device("cpu")), "commit": commit(), "versions": versions()}
    found["load"] = {}
    with tempfile.TemporaryDirectory(dir=opts.folder) as temporary:
        folder = Path(temporary)
        for name, compression in STORED.items():
            reader = write_features(folder / f"dump{compression}", opts.utts, compression)
            seconds = {way: took._asdict() for way, took in load_seconds(reader, opts.rounds).items()}
            found["load"][name] = {"bytes": stored_bytes(reader), "seconds": seconds}
        found["write"] = {name: write_seconds(folder, size, opts.rounds) for name, size in FILES.items()}
    hand_out(found, _markdown(found, opts.utts), opts)


def _markdown(found: dict[str, Any], utts: int) -> str:
    matrices = utts * len(CONDITIONS)
    lines = [f"{found['machine']}; commit {found['commit']}; {found['versions']}.", ""]
    lines += [
        f"Loading {len(CONDITIONS)} x {utts} matrices of features whose files the system has in memory:",
        "",
        f"| stored | way | s | MB/s of the files | s of processors | us a matrix | s for nEMO's {NEMO} |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for name, load in found["load"].items():
        for way, took in load["seconds"].items():
            wall, processor = took["wall"], took["processor"]
            numbers = (1e-6 * load["bytes"] / wall, processor, 1e6 * processor / matrices, NEMO * wall / matrices)
            lines.append(f"| {name} | {way} | {wall:.3f} | {' | '.join(f'{number:.1f}' for number in numbers)} |")
    lines += ["", "| file | bytes | flushed to the disk, ms | left to the system, ms |", "|---|--:|--:|--:|"]
    for name, (flushed, left) in found["write"].items():
        lines.append(f"| {name} | {FILES[name]} | {1000 * flushed:.1f} | {1000 * left:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
