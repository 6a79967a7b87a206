"""Time and memory of a front-end, in a process of its own (``python -m trnet.bench.measure``)."""

import json
import os
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from trnet.bench.cmgan_eager import make_eager
from trnet.frontend import build_frontend
from trnet.frontend.cmgan import CmganFrontEnd
from trnet.frontend.cmgan.spectral import compress, stft
from trnet.utils.allocator import keep_freed_memory
from trnet.utils.errors import TrnetError

RATE = 16000
ALLOCATORS = ("default", "huge", "keep")
"""glibc's default; PyTorch's huge pages, THP_MEM_ALLOC_ENABLE=1; `trnet.utils.allocator.keep_freed_memory`."""


@dataclass(frozen=True)
class Case:
    """What to measure."""

    frontend: dict[str, Any]  # argument of `build_frontend`
    seconds: float  # length of a clip
    threads: int  # of PyTorch
    passes: int = 2  # over the clips; the first one is not counted
    allocator: str = "keep"  # one of `ALLOCATORS`
    eager: bool = False  # compute CMGAN as its authors' code does
    clips: int = 1  # number of clips enhanced together
    compiler: bool = True  # False: as without a C++ compiler


@dataclass(frozen=True)
class Measured:
    """The result."""

    wall_s: float  # time of the fastest pass
    cpu_s: float  # smallest processor time of a pass
    peak_mib: float  # peak memory of the process, Python and libraries included
    base_mib: float  # memory before the first pass
    check: list[float] = field(repr=False)  # some samples of the first clip's output, to compare


def measure(case: Case) -> Measured:
    """Measure in a new process.

    Raises:
        TrnetError: If the front-end cannot be built or fails.
    """
    environment = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    environment["OMP_NUM_THREADS"] = str(case.threads)
    if case.allocator == "huge":
        environment["THP_MEM_ALLOC_ENABLE"] = "1"
    if not case.compiler:
        environment["CXX"] = ""
    command = [sys.executable, "-m", "trnet.bench.measure", json.dumps(asdict(case))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise TrnetError(lines[-1])
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def clip(seconds: float) -> torch.Tensor:
    """(1, samples): noise at the level of speech, always the same."""
    return 0.1 * torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(0))


def run(case: Case) -> Measured:
    """Measure in this process."""
    if case.allocator == "keep":
        keep_freed_memory()
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    frontend = build_frontend(case.frontend)
    wav = clip(case.seconds).repeat(case.clips, 1)
    if case.eager:
        assert isinstance(frontend, CmganFrontEnd)
        make_eager(frontend.network)
    base, wall, cpu = memory("VmRSS"), [], []
    for _ in range(case.passes):
        began = time.perf_counter(), time.process_time()
        out = frontend.enhance(wav)
        wall.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    counted = slice(min(1, case.passes - 1), None)
    check = out[0, :: max(1, out.shape[1] // 1000)].tolist()
    return Measured(min(wall[counted]), min(cpu[counted]), memory("VmHWM"), base, check)


def count_gflop(frontend: dict[str, Any], seconds: float) -> float | None:
    """Operations of matrix products, convolutions and attention for a clip.

    Returns:
        GFLOP, a multiplication and an addition being two; None without a PyTorch module. For CMGAN those of the network
        as it is written, at this length, not of the fast path; for others those of 1 s, times ``seconds``.
    """
    built = build_frontend(frontend)
    if not any(True for _ in built.parameters()):
        return None
    counter = FlopCounterMode(display=False)
    with torch.no_grad():
        if isinstance(built, CmganFrontEnd):

            def count(wav: torch.Tensor) -> torch.Tensor:
                with FakeTensorMode(allow_non_fake_inputs=True), counter:
                    built.network(compress(stft(torch.empty(wav.shape))))
                return wav

            setattr(built, "_pass", count)  # noqa: B010 (hides a method); shapes only, nothing is computed
            built.enhance_equal(clip(seconds))
            return counter.get_total_flops() / 1e9
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the next line, on other machines
            with torch.backends.mkldnn.flags(enabled=False), counter:  # otherwise an LSTM is not counted
                built.enhance_equal(clip(1.0))
    return counter.get_total_flops() / 1e9 * seconds or None


def gpu_gflops(
    device: torch.device, dtype: torch.dtype = torch.float32, size: int = 8192, repeats: int = 20, tf32: bool = False
) -> float:
    """GFLOP/s of products of square matrices on a GPU."""
    before, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, tf32
    try:
        a = torch.randn(size, size, device=device, dtype=dtype)
        a @ a
        began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        began.record()
        for _ in range(repeats):
            a @ a
        ended.record()
        torch.cuda.synchronize()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return 2e-6 * size**3 * repeats / began.elapsed_time(ended)


def peak_gflops(threads: int, size: int = 1536, repeats: int = 8, dtype: torch.dtype = torch.float32) -> float:
    """The largest GFLOP/s of products of square matrices on the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a, b, best = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype), float("inf")
        for _ in range(repeats):
            began = time.perf_counter()
            a @ b
            best = min(best, time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    return 2e-9 * size**3 / best


def memory(name: str) -> float:
    """A field of /proc/self/status, MiB, 0 without one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(run(Case(**json.loads(sys.argv[1]))))))
    except TrnetError as error:
        sys.exit(str(error))
