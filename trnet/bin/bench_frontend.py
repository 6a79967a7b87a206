"""Speed and memory of front-ends on this machine, and their share of its peak."""

import inspect
import json
import statistics
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from trnet.bench import gpu_report
from trnet.bench.cmgan_parts import attention_ways, kernels_of
from trnet.bench.measure import ALLOCATORS, Case, Measured, count_gflop, measure, peak_gflops
from trnet.bin import option_types as types
from trnet.bin.options import Parser, add_device_option, add_output_options, device_from, hand_out, make_parser
from trnet.frontend import FRONTENDS
from trnet.utils.errors import TrnetError, nearest, one_line_errors
from trnet.utils.files import write_text
from trnet.utils.provenance import machine, versions


@dataclass(frozen=True)
class Variant:
    """A variant of computing CMGAN: its additions to frontend_conf, and fields of :class:`Case`."""

    label: str
    conf: dict[str, Any]
    allocator: str = "keep"
    eager: bool = False
    compiler: bool = True


OFFICIAL = "official, "
ON_CPU = [
    *(Variant(f"official, {allocator}", {"fast": False}, allocator, eager=True) for allocator in ALLOCATORS),
    Variant("plain, keep", {"fast": False}),
    Variant("fast without a compiler, keep", {}, compiler=False),
    *(Variant(f"fast, {allocator}", {}, allocator) for allocator in ALLOCATORS),
]


def get_parser() -> Parser:
    """Options."""
    parser = make_parser("bench_frontend", __doc__)
    parser.add_argument("--frontends", type=types.list_of(str), default=list(FRONTENDS), help="names (default: all)")
    parser.add_argument("--checkpoints", type=types.list_of(str), default=[], help='"NAME=FILE ..."; else untrained')
    parser.add_argument("--seconds", type=types.list_of(types.amount(0.1, 3600)), default=[5.0], help="clip lengths")
    parser.add_argument("--threads", type=types.processes, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--rounds", type=types.count(1, 1000), default=1, help="measurements, each in new processes")
    parser.add_argument(
        "--compare-cmgan", action="store_true", help="also CMGAN as its authors compute it, by allocator; on a CPU"
    )
    gpu = parser.add_argument_group("on a GPU")
    many = types.list_of(types.count(1, 10_000))
    gpu.add_argument("--clips", type=many, default=[16], help="how many are enhanced together, besides one")
    gpu.add_argument("--passes", type=types.count(1, 1000), default=5, help="timed, after two")
    gpu.add_argument("--compiled", action="store_true", help="also other front-ends than CMGAN through torch.compile")
    gpu.add_argument("--tiles", action="store_true", help="also CMGAN's kernels with blocks of other sizes")
    gpu.add_argument("--parts", action="store_true", help="also ways of CMGAN's attention, and its kernels by time")
    gpu.add_argument(
        "--profile", action="store_true", help="only the plain CMGAN's kernels by time, by number of clips"
    )
    add_device_option(parser)
    add_output_options(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Measure and print tables; a front-end that cannot be built is listed with the reason."""
    opts = get_parser().parse_args(args)
    for name in opts.frontends:
        if name not in FRONTENDS:
            raise TrnetError(f"--frontends {name}: no such front-end{nearest(name, list(FRONTENDS))}")
    device = device_from(opts)
    torch.set_num_threads(opts.threads)
    checkpoints = _checkpoints(opts.checkpoints)
    found: dict[str, Any] = {"machine": machine(device), "versions": versions(), "threads": opts.threads}
    if device.type == "cuda":
        found["gpu"] = []
        for seconds in opts.seconds:
            keep = partial(_keep, opts, found)  # so that a call that is stopped leaves what it found
            found["gpu"].append(_on_gpu(opts, seconds, checkpoints, device, keep))
        hand_out(found, _gpu_page(found, found["gpu"]), opts)
        return
    for option in ("compiled", "tiles", "parts", "profile"):
        if getattr(opts, option):
            raise TrnetError(f"--{option}: is measured on a GPU; add --ngpu 1, or leave it out")
    rows, skipped, compared = [], {}, []
    for name in opts.frontends:
        try:
            for seconds in opts.seconds:
                rows.append(_row(_config(name, checkpoints.get(name)), seconds, opts.threads, opts.rounds))
                print(_line(rows[-1]), flush=True)
        except TrnetError as error:
            skipped[name] = str(error)
            print(f"{name}: skipped: {skipped[name]}", flush=True)
    if opts.compare_cmgan:
        compared = [_compare(ON_CPU, seconds, opts.threads, opts.rounds) for seconds in opts.seconds]
    found |= {"frontends": rows, "skipped": skipped, "cmgan": compared}
    hand_out(found, _markdown(found), opts)


def _gpu_page(found: dict[str, Any], tables: list[dict[str, Any]]) -> str:
    return "\n".join([_title(found), *sum(map(gpu_report.markdown, tables), [])]) + "\n"


def _keep(opts: Namespace, found: dict[str, Any], part: dict[str, Any]) -> None:
    """Write the tables so far."""
    tables = [*found["gpu"], part]
    if opts.json:
        write_text(opts.json, json.dumps(found | {"gpu": tables}, indent=1) + "\n")
    if opts.markdown:
        write_text(opts.markdown, _gpu_page(found, tables))


def _on_gpu(
    opts: Namespace,
    seconds: float,
    checkpoints: dict[str, str],
    device: torch.device,
    keep: Callable[[dict[str, Any]], object],
) -> dict[str, Any]:
    """All tables for clips of one length."""
    found: dict[str, Any] = {"rows": []}
    if opts.profile:
        kinds = {f"plain, {clips} clips": ("plain", clips) for clips in sorted({1, *opts.clips})}
    else:
        configs = [_config(name, checkpoints.get(name)) for name in opts.frontends]
        found = gpu_report.measured(configs, seconds, opts.clips, opts.passes, opts.compiled, device, keep)
        kinds = {f"{kind}, one clip": (kind, 1) for kind in ("float32", "bf16")} if opts.parts else {}
    try:
        if opts.tiles:
            found["tiles"] = gpu_report.tiles(seconds, opts.passes)
        found["kernels"] = {}
        for name, kind in kinds.items():
            found["kernels"][name] = kernels_of(*kind, seconds, device)
        if opts.parts:
            found["attention"] = {"along time, one clip": attention_ways(seconds, device)}
    except (RuntimeError, torch.OutOfMemoryError) as error:  # what is measured so far is kept
        found["failed"] = str(error).splitlines()[0]
        print(found["failed"], flush=True)
    return found


def _checkpoints(pairs: list[str]) -> dict[str, str]:
    """``NAME=FILE`` by name."""
    found = {}
    for pair in pairs:
        name, _, file = pair.partition("=")
        if name not in FRONTENDS or not Path(file).is_file():
            raise TrnetError(f"--checkpoints {pair}: give NAME=FILE, a front-end and a file that is there")
        found[name] = file
    return found


def _config(name: str, checkpoint: str | None) -> dict[str, Any]:
    """Argument of `build_frontend`; untrained weights take the same time."""
    conf: dict[str, Any] = {"checkpoint": checkpoint} if checkpoint else {}
    if not checkpoint and "init" in inspect.signature(FRONTENDS[name]).parameters:
        conf = {"init": "random"}
    return {"frontend": name, "frontend_conf": conf}


def _row(config: dict[str, Any], seconds: float, threads: int, rounds: int) -> dict[str, Any]:
    """One row of the first table, medians over the rounds."""
    gflop = count_gflop(config, seconds)
    measured, peaks = [], []
    for _ in range(rounds):
        peaks.append(peak_gflops(threads))
        measured.append(measure(Case(config, seconds, threads)))
    peaks.append(peak_gflops(threads))
    wall, peak = _median(measured, "wall_s"), max(peaks)
    speed = gflop / wall if gflop else None
    conf = config["frontend_conf"]
    return {
        "frontend": config["frontend"],
        "weights": "checkpoint" if "checkpoint" in conf else "untrained" if conf else "own",
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


def _compare(variants: list[Variant], seconds: float, threads: int, rounds: int) -> dict[str, Any]:
    """Variants of CMGAN, one after the other in each round."""
    by_label: dict[str, list[Measured]] = {variant.label: [] for variant in variants}
    for number in range(rounds):
        for variant in variants:
            config = {"frontend": "cmgan", "frontend_conf": {"init": "random", **variant.conf}}
            case = Case(config, seconds, threads, allocator=variant.allocator, eager=variant.eager)
            case = replace(case, compiler=variant.compiler)
            by_label[variant.label].append(measure(case))
            print(f"round {number + 1}: cmgan {variant.label}: {by_label[variant.label][-1]}", flush=True)
    checks = {label: torch.tensor(all_of[0].check) for label, all_of in by_label.items()}
    clip_s = {label: [m.wall_s for m in all_of] for label, all_of in by_label.items()}
    rows = []
    for variant in variants:
        all_of = by_label[variant.label]
        rows.append(
            {
                "label": variant.label,
                "rounds": [asdict(m) | {"check": None} for m in all_of],
                "real_time_factor": statistics.median(clip_s[variant.label]) / seconds,
                "cpu_s_per_s": _median(all_of, "cpu_s") / seconds,
                "peak_mib": max(m.peak_mib for m in all_of),
                "difference": float((checks[variant.label] - checks[variants[0].label]).abs().max()),
                "times_faster_than_official": {
                    label.removeprefix(OFFICIAL): statistics.median(
                        a / b for a, b in zip(theirs, clip_s[variant.label], strict=True)
                    )
                    for label, theirs in clip_s.items()
                    if label.startswith(OFFICIAL)
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


def _title(found: dict[str, Any]) -> str:
    return f"{found['machine']}; {found['versions']}; {found['threads']} threads."


def _markdown(found: dict[str, Any]) -> str:
    """All tables."""
    lines = [_title(found), ""]
    lines += ["| front-end | weights | " + " | ".join(COLUMNS) + " |", "|---|---|" + "--:|" * len(COLUMNS)]
    lines += [_line(row) for row in found["frontends"]]
    if found["skipped"]:
        lines += ["", "Not measured:", ""] + [f"- `{name}`: {reason}" for name, reason in found["skipped"].items()]
    for table in found["cmgan"]:
        lines += ["", f"CMGAN, {table['seconds']:g} s, medians of {table['rounds']} rounds:", ""]
        against = list(table["rows"][0]["times_faster_than_official"])
        heads = ["real-time factor", "processor s per s", "peak memory, MiB", "largest difference"]
        heads += [f"x official, {name}" for name in against]
        lines += ["| computed | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
        for row in table["rows"]:
            cells = [f"{row['real_time_factor']:.2f}", f"{row['cpu_s_per_s']:.2f}", f"{row['peak_mib']:.0f}"]
            cells += [f"{row['difference']:.1e}"] + [f"{row['times_faster_than_official'][n]:.2f}" for n in against]
            lines.append(f"| {row['label']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
