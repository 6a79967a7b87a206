"""Time and memory of features, in a process of its own (``python -m trnet.bench.measure_features``)."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from trnet.bench.measure import memory
from trnet.config import Features, ModelConfig, build
from trnet.features import make_extractor
from trnet.features.upstream import UpstreamExtractor
from trnet.utils.errors import TrnetError

PASSES = 5  # the first one is not counted


@dataclass(frozen=True)
class Measured:
    """The result: wall and processor time of the fastest pass, memory of the process (Python and libraries included)
    before the network is there and at its peak, parameters, frames and values of a clip's features.
    """

    wall_s: float
    cpu_s: float
    base_mib: float
    peak_mib: float
    parameters: int
    shape: tuple[int, int]


def measure(features: Features, seconds: float, threads: int) -> Measured:
    """Measure features of a clip of so many seconds in a new process.

    Raises:
        TrnetError: If they cannot be computed.
    """
    case = json.dumps([features.plain(), seconds, threads])
    command = [sys.executable, "-m", "trnet.bench.measure_features", case]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    if done.returncode:
        raise TrnetError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Measured(**found | {"shape": tuple(found["shape"])})


def run(features: Features, seconds: float, threads: int) -> Measured:
    """Measure in this process.

    Raises:
        TrnetError: If the clip is too short.
    """
    torch.set_num_threads(threads)
    base, wall, cpu = memory("VmRSS"), [], []
    extractor = make_extractor(features)
    if isinstance(extractor, UpstreamExtractor):
        extractor.cut()  # as a packed model does
    noise = torch.randn(round(seconds * features.sample_rate), generator=torch.Generator().manual_seed(0))
    if extractor.num_frames(len(noise)) < 1:
        raise TrnetError(f"--seconds {seconds:g}: is shorter than one frame; give more")
    for _ in range(PASSES):
        began = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            found = extractor(0.1 * noise)
        wall.append(time.perf_counter() - began[0])
        cpu.append(time.process_time() - began[1])
    network = getattr(extractor, "network", None)
    parameters = sum(x.numel() for x in network.parameters()) if isinstance(network, nn.Module) else 0
    frames, dim = found.shape
    return Measured(min(wall[1:]), min(cpu[1:]), base, memory("VmHWM"), parameters, (frames, dim))


if __name__ == "__main__":
    try:
        options, length, count = json.loads(sys.argv[1])
        print(json.dumps(asdict(run(build(ModelConfig, {"features": options}).features, length, count))))
    except TrnetError as error:
        sys.exit(str(error))
