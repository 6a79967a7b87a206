"""Speed and memory of an experiment's features on this machine's CPU."""

import sys
from dataclasses import asdict
from typing import Any

import torch

from trnet.bench.measure_features import Measured, measure
from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_config_options, add_output_options, config_from, hand_out, make_parser
from trnet.config import Features
from trnet.utils.errors import one_line_errors
from trnet.utils.provenance import machine, versions

HEADS = (
    *("features", "clip, s", "frames x values", "parameters, M", "real-time factor", "processor s per s"),
    *("peak memory, MiB", "before, MiB"),
)


def get_parser() -> Parser:
    """Options."""
    parser = make_parser("bench_features", __doc__)
    add_config_options(parser)
    parser.add_argument("--seconds", type=types.list_of(types.amount(0.1, 600)), default=[5.0], help="clip lengths")
    parser.add_argument("--threads", type=types.processes, default=torch.get_num_threads(), help="of PyTorch")
    add_output_options(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Measure and print a table of a row for each length."""
    opts = get_parser().parse_args(args)
    features = config_from(opts).features
    rows: list[dict[str, Any]] = []
    lines = ["| " + " | ".join(HEADS) + " |", "|---|" + "--:|" * (len(HEADS) - 1)]
    for seconds in opts.seconds:
        found = measure(features, seconds, opts.threads)
        rows.append({"features": name_of(features), "seconds": seconds, **asdict(found)})
        lines.append(line_of(name_of(features), seconds, found))
    said = {"machine": machine(torch.device("cpu")), "versions": versions(), "threads": opts.threads}
    title = f"{said['machine']}; {said['versions']}; {opts.threads} threads."
    hand_out(said | {"rows": rows}, "\n".join([title, "", *lines]) + "\n", opts)


def name_of(features: Features) -> str:
    """Type of features, or network and layer."""
    return features.folder or features.type


def line_of(name: str, seconds: float, found: Measured) -> str:
    """A row of the table."""
    cells = [name, f"{seconds:g}", " x ".join(map(str, found.shape)), f"{found.parameters / 1e6:.1f}"]
    cells += [f"{found.wall_s / seconds:.4f}", f"{found.cpu_s / seconds:.4f}"]
    cells += [f"{found.peak_mib:.0f}", f"{found.base_mib:.0f}"]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
