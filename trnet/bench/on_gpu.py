"""Front-ends on a GPU: passes timed with events, several cases in a process of their own."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from trnet.bench.cmgan_eager import make_eager
from trnet.bench.measure import clip, gpu_gflops
from trnet.frontend import build_frontend
from trnet.frontend.cmgan import CmganFrontEnd
from trnet.frontend.trainable import TrainableFrontEnd
from trnet.utils.compiled import compile_cache
from trnet.utils.device import gpu
from trnet.utils.errors import TrnetError

PASSES = 5  # after the first two
TOGETHER = 3  # processes that compile at a time


@dataclass(frozen=True)
class GpuCase:
    """What to measure on a GPU."""

    label: str
    frontend: dict[str, Any]  # argument of `build_frontend`
    seconds: float  # length of a clip
    clips: int = 1  # enhanced together
    eager: bool = False  # compute CMGAN as its authors' code does
    compiled: bool = False  # the network through torch.compile
    passes: int = PASSES


@dataclass(frozen=True)
class Timed:
    """The result of a case."""

    first_s: float = 0.0  # of the first pass, compilation included
    passes_s: list[float] = field(default_factory=list)  # of those after the second one
    peak_mib: float = 0.0  # of PyTorch's memory
    check: list[float] = field(default_factory=list, repr=False)  # some samples of the first clip's output
    logged: list[str] = field(default_factory=list)  # warnings: what does not run here
    failed: str = ""  # why there are no numbers


def timed(cases: list[GpuCase]) -> list[Timed]:
    """Measure in a new process, one after the other; what an error of the device leaves unmeasured has its reason."""
    command = [sys.executable, "-m", "trnet.bench.on_gpu", json.dumps([asdict(case) for case in cases])]
    done = subprocess.run(command, capture_output=True, text=True)
    found = [Timed(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return found + [Timed(failed=why)] * (len(cases) - len(found))


def warmed(groups: list[list[GpuCase]]) -> float:
    """Compile for groups of cases in processes of their own, a few at a time; seconds."""
    began = time.perf_counter()
    short = [[asdict(group[0]) | {"clips": 1, "passes": 0}] for group in groups]
    for start in range(0, len(short), TOGETHER):
        together = [
            subprocess.Popen([sys.executable, "-m", "trnet.bench.on_gpu", json.dumps(cases)], stdout=subprocess.DEVNULL)
            for cases in short[start : start + TOGETHER]
        ]
        for process in together:
            process.wait()
    return time.perf_counter() - began


def measure(case: GpuCase, device: torch.device) -> Timed:
    """Measure in this process.

    Raises:
        TrnetError: If the front-end cannot be built.
    """
    logged = _Lines()
    logging.getLogger().addHandler(logged)
    try:
        torch.manual_seed(0)
        frontend = build_frontend(case.frontend).to(device)
        wav = clip(case.seconds).repeat(case.clips, 1).to(device)
        if case.eager:
            assert isinstance(frontend, CmganFrontEnd)
            make_eager(frontend.network)
        if case.compiled:
            compile_cache()
            assert isinstance(frontend, TrainableFrontEnd)
            frontend.network.compile(dynamic=True)
        torch.cuda.reset_peak_memory_stats(device)
        first, passes, out = time_passes(lambda: frontend.enhance(wav), case.passes, device)
        check = out[0, :: max(1, out.shape[1] // 1000)].tolist()
        return Timed(first, passes, torch.cuda.max_memory_allocated(device) / 2**20, check, logged.lines)
    finally:
        logging.getLogger().removeHandler(logged)


def time_passes(work: Callable[[], Tensor], passes: int, device: torch.device) -> tuple[float, list[float], Tensor]:
    """Seconds of the first pass by the clock, of ``passes`` after the second one by events, and the last result."""
    began = time.perf_counter()
    out = work()
    torch.cuda.synchronize(device)
    first = time.perf_counter() - began
    if passes:
        work()
    taken = []
    for _ in range(passes):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        out = work()
        end.record()
        end.synchronize()
        taken.append(start.elapsed_time(end) / 1000)
    return first, taken, out


def rates(device: torch.device) -> dict[str, float]:
    """GFLOP/s of large products in each precision, and GB/s of a copy, read and written bytes together."""
    found = {
        "float32": gpu_gflops(device),
        "tf32": gpu_gflops(device, tf32=True),
        "bf16": gpu_gflops(device, torch.bfloat16),
    }
    source = torch.empty(2**28, device=device)
    target = torch.empty_like(source)
    _, taken, _ = time_passes(lambda: target.copy_(source), 5, device)
    return found | {"copy_gb_s": 2 * source.nbytes / min(taken) / 1e9}


def kernel_times(work: Callable[[], Tensor], most: int = 25) -> list[dict[str, Any]]:
    """The kernels of one pass by their time: name, calls, ms."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    rows = [
        {"name": event.key[:90], "calls": event.count, "ms": event.self_device_time_total / 1000}
        for event in profile.key_averages()
    ]
    return sorted(rows, key=lambda row: -row["ms"])[:most]


class _Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main() -> None:
    """Measure the cases of the first argument, JSON; a line of JSON for each."""
    device = gpu()
    for case in json.loads(sys.argv[1]):
        try:
            found = measure(GpuCase(**case), device)
        except (TrnetError, torch.OutOfMemoryError) as error:
            found = Timed(failed=str(error).splitlines()[0])
        torch.cuda.empty_cache()
        print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    main()
