"""How fast front-ends are on this machine, in how much memory, and how far from what it could do."""

import inspect
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from trnet.bench.hand_out import add_output_options, hand_out
from trnet.bench.measure import Job, Measured, count_gflop, measure, peak_gflops
from trnet.bin.options import Parser, list_of, make_parser
from trnet.errors import TrnetError, nearest, one_line_errors
from trnet.frontend import FRONTENDS
from trnet.provenance import machine, versions

COMPARED = {
    f"{name}, {allocator}": (conf, allocator, name == "official")
    for name, conf, allocators in (
        ("official", {"fast": False}, ("default", "huge", "keep")),
        ("plain", {"fast": False}, ("keep",)),
        ("fast", {}, ("default", "huge", "keep")),
    )
    for allocator in allocators
}
"""CMGAN: label to what its frontend_conf adds, allocator, whether computed the way its authors' code does."""


def get_parser() -> Parser:
    """Options."""
    parser = make_parser("bench_frontend", __doc__)
    parser.add_argument("--frontends", type=list_of(str), default=list(FRONTENDS), help="names (default: all)")
    parser.add_argument("--checkpoints", type=list_of(str), default=[], help='"NAME=FILE ..."; others are untrained')
    parser.add_argument("--seconds", type=list_of(float), default=[5.0], help="lengths of clips")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--rounds", type=int, default=1, help="measure so often, each time in new processes")
    parser.add_argument(
        "--compare-cmgan", action="store_true", help="also CMGAN computed as its authors do, by allocator"
    )
    add_output_options(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Measure and print tables; a front-end that cannot be built here is named with the reason."""
    opts = get_parser().parse_args(args)
    for name in opts.frontends:
        if name not in FRONTENDS:
            raise TrnetError(f"--frontends {name}: no such front-end{nearest(name, list(FRONTENDS))}")
    if min([opts.threads, opts.rounds, *opts.seconds]) <= 0 or not opts.seconds:
        raise TrnetError("--threads, --rounds and --seconds: give numbers over 0")
    torch.set_num_threads(opts.threads)
    checkpoints = _checkpoints(opts.checkpoints)
    said: dict[str, Any] = {"machine": machine(torch.device("cpu")), "versions": versions(), "threads": opts.threads}
    rows, skipped, compared = [], {}, []
    for name in opts.frontends:
        try:
            for seconds in opts.seconds:
                rows.append(_row(name, checkpoints.get(name), seconds, opts.threads, opts.rounds))
                print(_line(rows[-1]), flush=True)
        except TrnetError as error:
            skipped[name] = str(error).removeprefix(f"front-end {name}: ")
            print(f"{name}: skipped: {skipped[name]}", flush=True)
    if opts.compare_cmgan:
        compared = [_compare(seconds, opts.threads, opts.rounds) for seconds in opts.seconds]
    said |= {"frontends": rows, "skipped": skipped, "cmgan": compared}
    hand_out(said, _markdown(said), opts)


def _checkpoints(pairs: list[str]) -> dict[str, str]:
    """``NAME=FILE`` by name."""
    split = {name: file for name, _, file in (pair.partition("=") for pair in pairs)}
    for name, file in split.items():
        if name not in FRONTENDS or not Path(file).is_file():
            raise TrnetError(f"--checkpoints {name}={file}: give NAME=FILE, a front-end and a file that is there")
    return split


def _config(name: str, checkpoint: str | None) -> dict[str, Any]:
    """What `build_frontend` takes; untrained weights cost the same time."""
    conf: dict[str, Any] = {"checkpoint": checkpoint} if checkpoint else {}
    if not checkpoint and "init" in inspect.signature(FRONTENDS[name]).parameters:
        conf = {"init": "random"}
    return {"frontend": name, "frontend_conf": conf}


def _row(name: str, checkpoint: str | None, seconds: float, threads: int, rounds: int) -> dict[str, Any]:
    """One line of the first table, medians over the rounds."""
    config = _config(name, checkpoint)
    gflop = count_gflop(config, seconds)
    measured, peaks = [], []
    for _ in range(rounds):
        peaks.append(peak_gflops(threads))
        measured.append(measure(Job(config, seconds, threads)))
        peaks.append(peak_gflops(threads))
    wall, peak = _median(measured, "wall_s"), max(peaks)
    speed = gflop / wall if gflop else None
    return {
        "frontend": name,
        "weights": "checkpoint" if checkpoint else "untrained" if config["frontend_conf"] else "own",
        "seconds": seconds,
        "real_time_factor": wall / seconds,
        "cpu_s_per_s": _median(measured, "cpu_s") / seconds,
        "peak_mib": max(m.peak_mib for m in measured),
        "base_mib": _median(measured, "base_mib"),
        "gflop_per_s_of_audio": gflop / seconds if gflop else None,
        "gflop_per_s": speed,
        "matmul_gflop_per_s": peak,
        "share": speed / peak if speed else None,
    }


def _compare(seconds: float, threads: int, rounds: int) -> dict[str, Any]:
    """CMGAN by ways of computing it, one after the other in each round."""
    by_label: dict[str, list[Measured]] = {label: [] for label in COMPARED}
    for number in range(rounds):
        for label, (conf, allocator, eager) in COMPARED.items():
            config = {"frontend": "cmgan", "frontend_conf": {"init": "random", **conf}}
            by_label[label].append(measure(Job(config, seconds, threads, allocator=allocator, eager=eager)))
            print(f"round {number + 1}: cmgan {label}: {by_label[label][-1]}", flush=True)
    checks = {label: torch.tensor(all_of[0].check) for label, all_of in by_label.items()}
    rows = []
    for label, all_of in by_label.items():
        times = {name: [m.wall_s for m in by_label[f"official, {name}"]] for name in ("default", "huge", "keep")}
        mine = [m.wall_s for m in all_of]
        rows.append(
            {
                "label": label,
                "rounds": [asdict(m) | {"check": None} for m in all_of],
                "real_time_factor": _median(all_of, "wall_s") / seconds,
                "cpu_s_per_s": _median(all_of, "cpu_s") / seconds,
                "peak_mib": max(m.peak_mib for m in all_of),
                "difference": float((checks[label] - checks["official, default"]).abs().max()),
                "times_faster_than_official": {
                    name: statistics.median(a / b for a, b in zip(theirs, mine, strict=True))
                    for name, theirs in times.items()
                },
            }
        )
    return {"seconds": seconds, "rounds": rounds, "rows": rows}


def _median(measured: list[Measured], name: str) -> float:
    return statistics.median(getattr(m, name) for m in measured)


def _line(row: dict[str, Any]) -> str:
    """A row of the first table."""
    numbers = [_cell(row[key], form) for key, form in COLUMNS.values()]
    return "| " + " | ".join([row["frontend"], row["weights"], *numbers]) + " |"


COLUMNS = {
    "clip, s": ("seconds", "g"),
    "real-time factor": ("real_time_factor", ".3f"),
    "processor s per s": ("cpu_s_per_s", ".3f"),
    "peak memory, MiB": ("peak_mib", ".0f"),
    "before, MiB": ("base_mib", ".0f"),
    "GFLOP per s of audio": ("gflop_per_s_of_audio", ".2f"),
    "GFLOP/s": ("gflop_per_s", ".1f"),
    "matmul GFLOP/s": ("matmul_gflop_per_s", ".0f"),
    "share": ("share", ".0%"),
}


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _markdown(said: dict[str, Any]) -> str:
    """All tables."""
    lines = [f"{said['machine']}; {said['versions']}; {said['threads']} threads.", ""]
    lines += ["| front-end | weights | " + " | ".join(COLUMNS) + " |", "|---|---|" + "--:|" * len(COLUMNS)]
    lines += [_line(row) for row in said["frontends"]]
    if said["skipped"]:
        lines += ["", "Not measured:", ""] + [f"- `{name}`: {reason}" for name, reason in said["skipped"].items()]
    for table in said["cmgan"]:
        lines += ["", f"CMGAN, {table['seconds']:g} s, medians of {table['rounds']} rounds:", ""]
        against = ("default", "huge", "keep")
        heads = ["real-time factor", "processor s per s", "peak memory, MiB", "largest difference"]
        heads += [f"x official, {name}" for name in against]
        lines += ["| computed, allocator | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
        for row in table["rows"]:
            cells = [f"{row['real_time_factor']:.2f}", f"{row['cpu_s_per_s']:.2f}", f"{row['peak_mib']:.0f}"]
            cells += [f"{row['difference']:.1e}"] + [f"{row['times_faster_than_official'][n]:.2f}" for n in against]
            lines.append(f"| {row['label']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
