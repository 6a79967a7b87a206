"""How fast systems train here: the engine, alone and several runs at a time, the bare step, and the obvious way."""

import json
import os
import sys
import tempfile
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from trnet.bench.train_marks import marks_on_cpu, marks_on_gpu
from trnet.bench.train_rows import ON_CPU, ON_GPU, ROWS, TrainBench
from trnet.bench.train_speed import make_corpus
from trnet.bin import option_types as types
from trnet.bin.options import (
    Parser,
    add_config_options,
    add_device_option,
    add_output_options,
    config_from,
    device_from,
    hand_out,
    make_parser,
)
from trnet.utils.errors import TrnetError, first_line, nearest, one_line_errors, report_unexpected
from trnet.utils.files import write_text
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.workers import prepare

ON_DEVICE = {"cpu": (ON_CPU, 256, 1), "cuda": (ON_GPU, 2400, 5)}
"""What is measured where nothing is named: rows, utterances of an epoch, epochs."""


def a_row(text: str) -> str:
    """Type of a row's name."""
    if text not in ROWS:
        raise ArgumentTypeError(f"'{text}': no such row{nearest(text, list(ROWS))}")
    return text


def get_parser() -> Parser:
    """Options."""
    parser = make_parser("bench_train", __doc__)
    add_config_options(parser)
    parser.add_argument("--system", default="trnet", help="system of the YAML")
    parser.add_argument("--rows", type=types.list_of(a_row), help=f"what is measured, of {' '.join(ROWS)}")
    parser.add_argument("--utterances", type=types.count(1, 1_000_000), help="of an epoch, made of noise")
    parser.add_argument("--seconds", type=types.amount(0.1, 600), default=5.015, help="of each; 5.015 s: 500 frames")
    parser.add_argument(
        "--shortest", type=types.amount(0.1, 600), help="from so many seconds up to --seconds, evenly; nEMO: 0.9 to 4"
    )
    parser.add_argument("--epochs", type=types.count(1, 1000), help="epochs counted, after one that is not")
    parser.add_argument("--runs", type=types.list_of(types.processes), help='at a time, beside one alone, e.g. "2 4 8"')
    parser.add_argument("--threads", type=types.processes, default=1, help="CPU threads of a run")
    parser.add_argument(
        "--workers", type=types.processes, default=min(4, os.cpu_count() or 1), help="of the DataLoader"
    )
    parser.add_argument("--precision", choices=("float32", "bf16"), help="the YAML's if none is named")
    add_output_options(parser)
    add_device_option(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> int:
    """Measure on a corpus of noise in a temporary folder, and print a table; status 1 if a row is missing."""
    opts = get_parser().parse_args(args)
    config, device = config_from(opts), device_from(opts)
    if opts.shortest and opts.shortest > opts.seconds:
        raise TrnetError(f"--shortest {opts.shortest:g}: is more than --seconds {opts.seconds:g}; give less")
    if opts.system not in config.systems:
        raise TrnetError(f"--system {opts.system}: no such system{nearest(opts.system, list(config.systems))}")
    if opts.precision:
        config = config.replace(training=config.training.replace(precision=opts.precision))
    rows, utterances, epochs = ON_DEVICE[device.type]
    cores = os.cpu_count() or 1
    prepare(device, opts.threads)
    about = {"machine": machine(device), "commit": commit(), "versions": versions(), "threads": opts.threads}
    about |= {"system": opts.system, "precision": config.training.precision, "seconds": opts.seconds}
    about |= {"shortest": opts.shortest, "device": device.type}
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder), config, opts.utterances or utterances, opts.seconds, cores, opts.shortest)
        runs = opts.runs or ([cores] if device.type == "cpu" else [2, 4, 8])
        bench = TrainBench(corpus, opts.system, device, opts.epochs or epochs, runs, opts.threads, opts.workers)
        for key in opts.rows or rows:
            try:
                for row in bench.measure(key):
                    print(_line(row), flush=True)
                    _keep(about | bench.found, opts.json, opts.markdown)  # so that a call that is stopped leaves these
            except Exception as error:  # the other rows can still be measured
                bench.found["failed"][key] = f"{type(error).__name__}: {first_line(error)}"
                report_unexpected(error)
    found = about | bench.found
    hand_out(_with_marks(found), _markdown(found), opts)
    return 1 if found["failed"] else 0


def _keep(found: dict[str, Any], numbers: Path | None, page: Path | None) -> None:
    if numbers:
        write_text(numbers, json.dumps(_with_marks(found), indent=1) + "\n")
    if page:
        write_text(page, _markdown(found))


def _with_marks(found: dict[str, Any]) -> dict[str, Any]:
    return found | {"marks": [vars(mark) for mark in _marks(found)]}


def _marks(found: dict[str, Any]) -> list[Any]:
    if found["device"] == "cpu":
        return marks_on_cpu(found)
    return [] if found["shortest"] else marks_on_gpu(found)  # which are for utterances of one length


def _lengths(found: dict[str, Any]) -> str:
    if found["shortest"]:
        return f"{found['shortest']:g} to {found['seconds']:g} s (up to {found['frames']} frames)"
    return f"{found['seconds']:g} s ({found['frames']} frames)"


def _markdown(found: dict[str, Any]) -> str:
    """The tables with what they were measured on."""
    lines = [
        f"{found['system']}, utterances of {_lengths(found)}, {found['precision']}, "
        f"{found['threads']} threads a run; {found['machine']}; commit {found['commit']}; {found['versions']}.",
        "",
    ]
    for precision, floor in found["floors"].items():
        lines += [
            f"A step in {precision}: {floor['gflop']:.1f} GFLOP, forward and backward, and at least {floor['mib']:.0f} "
            f"MiB read and written; products of large matrices reach {floor['matmul_gflop_per_s']:,.0f} GFLOP/s, "
            f"a copy {floor['copy_mib_per_s'] / 1024:,.1f} GiB/s.",
            "",
        ]
    heads = "fed by | utterances/s | steps/s | of the bare step, a run | waiting for data | of the matmul rate"
    lines += [f"| {heads} | of the copy's rate |", "|---|" + "--:|" * 6]
    lines += [_line(row) for row in found["rows"]]
    if found["failed"]:
        lines += ["", *(f"- `{key}`: not measured: {why}" for key, why in found["failed"].items())]
    marks = _marks(found)
    if marks:
        on_gpu = ["Marks are for 32 x 256 frames of the paper's encoder on one H200:", ""]
        lines += ["", *(on_gpu if found["device"] == "cuda" else [])]
        lines += ["| what | measured | mark | | at best |", "|---|--:|--:|---|---|", *(mark.line() for mark in marks)]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    """A row of the first table."""
    shares = ["" if row[key] is None else f"{row[key]:{form}}" for key, form in SHARES.items()]
    return f"| {row['what']} | {row['utts_per_s']:.1f} | {row['steps_per_s']:.2f} | {' | '.join(shares)} |"


SHARES = {"of_bare": ".0%", "wait": ".1%", "of_matmul": ".0%", "of_bytes": ".0%"}

if __name__ == "__main__":
    sys.exit(main())
