"""How fast systems train here: the engine, alone and several runs at a time, the bare step, and the obvious way."""

import os
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from trnet.bench.measure import gpu_gflops, peak_gflops
from trnet.bench.train_speed import (
    BenchCorpus,
    Engine,
    Speed,
    bare_speed,
    engine_speed,
    gflop_per_utterance,
    make_corpus,
    obvious_speed,
)
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
from trnet.utils.allocator import keep_freed_memory
from trnet.utils.errors import one_line_errors
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.workers import imap


def get_parser() -> Parser:
    """Options."""
    parser = make_parser("bench_train", __doc__)
    add_config_options(parser)
    parser.add_argument("--system", default="trnet", help="system of the YAML")
    parser.add_argument("--utterances", type=types.count(1, 1_000_000), default=256, help="of an epoch, made of noise")
    parser.add_argument("--seconds", type=types.amount(0.1, 600), default=5.015, help="of each; 5.015 s: 500 frames")
    parser.add_argument("--epochs", type=types.count(1, 1000), default=1, help="epochs counted, after one that is not")
    parser.add_argument("--runs", type=types.processes, default=os.cpu_count() or 1, help="at a time, beside one alone")
    parser.add_argument("--threads", type=types.processes, default=1, help="CPU threads of a run")
    parser.add_argument(
        "--workers", type=types.processes, default=min(4, os.cpu_count() or 1), help="of the DataLoader"
    )
    parser.add_argument("--precision", choices=("float32", "bf16"), help="the YAML's if none is named")
    add_output_options(parser)
    add_device_option(parser)
    return parser


@one_line_errors
def main(args: list[str] | None = None) -> None:
    """Measure on a corpus of noise in a temporary folder, and print a table."""
    opts = get_parser().parse_args(args)
    config, device = config_from(opts), device_from(opts)
    config.system(opts.system)
    if opts.precision:
        config = config.replace(training=config.training.replace(precision=opts.precision))
    _prepare(opts.threads)
    with tempfile.TemporaryDirectory() as folder:
        corpus = make_corpus(Path(folder), config, opts.utterances, opts.seconds, os.cpu_count() or 1)
        found = _measure(corpus, opts.system, device, opts.epochs, opts.runs, opts.threads, opts.workers)
    found |= {"machine": machine(device), "commit": commit(), "versions": versions(), "threads": opts.threads}
    found |= {"system": opts.system, "precision": config.training.precision, "seconds": opts.seconds}
    hand_out(found, _markdown(found), opts)


def _prepare(threads: int) -> None:
    keep_freed_memory()
    torch.set_num_threads(threads)


def _measure(
    corpus: BenchCorpus, system: str, device: torch.device, epochs: int, runs: int, threads: int, workers: int
) -> dict[str, Any]:
    size = corpus.config.training.batch_size
    peak = _peak(device, threads, corpus.config.training.precision)
    engine = Engine(corpus, system, device, resident=True)
    from_archives = Engine(corpus, system, device, resident=False)
    gflop = gflop_per_utterance(engine)
    rows: dict[str, tuple[Speed, int]] = {}  # with the runs that share the machine
    steps = max(2, epochs * len(corpus.utts) // size)
    rows["the bare step, one batch again and again"] = bare_speed(engine, steps), 1
    rows["engine, features in memory"] = engine_speed(engine, epochs), 1
    rows["engine, features from the archives"] = engine_speed(from_archives, epochs), 1
    rows[f"waveforms and fbanks by a DataLoader, {workers} workers"] = (obvious_speed(engine, corpus, workers), 1)
    if runs > 1:
        rows[f"engine, {runs} runs at a time"] = _together(corpus, system, device, epochs, runs, threads), runs
    bare = next(iter(rows.values()))[0].utts_per_s
    return {
        "gflop_per_utterance": gflop,
        "matmul_gflop_per_s": peak,
        "rows": [
            {
                "what": what,
                "runs": count,
                "utts_per_s": speed.utts_per_s,
                "steps_per_s": speed.utts_per_s / size,
                "of_bare": speed.utts_per_s / bare / count,
                "wait": speed.wait,
                "of_matmul": speed.utts_per_s * gflop / peak / (count if device.type == "cpu" else 1),
            }
            for what, (speed, count) in rows.items()
        ],
    }


def _together(corpus: BenchCorpus, system: str, device: torch.device, epochs: int, runs: int, threads: int) -> Speed:
    """All the runs' utterances per second, in processes that begin to be timed at the same time."""
    barrier = get_context("spawn").Barrier(runs)
    jobs = [(corpus, system, device, epochs)] * runs
    speeds = list(imap(_one_of_many, jobs, runs, "runs", "run", _start, (barrier, threads), chunk=1))
    return Speed(sum(s.utts_per_s for s in speeds), sum(s.wait for s in speeds) / runs)


_barrier: Any  # of a worker process


def _start(barrier: Any, threads: int) -> None:
    global _barrier
    _barrier = barrier
    _prepare(threads)


def _one_of_many(job: tuple[BenchCorpus, str, torch.device, int]) -> Speed:
    corpus, system, device, epochs = job
    engine = Engine(corpus, system, device, resident=True)
    _barrier.wait()
    return engine_speed(engine, epochs)


def _peak(device: torch.device, threads: int, precision: str) -> float:
    """GFLOP/s of products of square matrices: on a CPU in float32 (threads as given), on a GPU in `precision`."""
    if device.type == "cpu":
        return peak_gflops(threads)
    return gpu_gflops(device, torch.bfloat16 if precision == "bf16" else torch.float32)


def _markdown(found: dict[str, Any]) -> str:
    """The table with what it was measured on."""
    lines = [
        f"{found['system']}, utterances of {found['seconds']:g} s, {found['precision']}, {found['threads']} threads a "
        f"run; {found['machine']}; commit {found['commit']}; {found['versions']}.",
        "",
        f"{found['gflop_per_utterance']:.2f} GFLOP an utterance, forward and backward; products of large matrices "
        f"reach {found['matmul_gflop_per_s']:.0f} GFLOP/s.",
        "",
        "| fed by | utterances/s | steps/s | of the bare step, a run | waiting for data | of the matmul rate |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['what']} | {row['utts_per_s']:.1f} | {row['steps_per_s']:.2f} | {row['of_bare']:.0%} | "
            f"{row['wait']:.1%} | {row['of_matmul']:.0%} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
