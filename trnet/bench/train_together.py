"""Several runs at a time on one device: in threads of one process with one copy of the features, or in processes."""

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from trnet.bench.train_speed import BenchCorpus, Engine, Speed, engine_speed, make_cache
from trnet.utils.workers import context, imap, prepare

PATIENCE_S = 600.0  # with runs that compile while others wait


def in_threads(corpus: BenchCorpus, system: str, device: torch.device, epochs: int, runs: int) -> Speed:
    """All the utterances per second of runs in threads of this process, which begin each epoch at the same time.

    Each thread is a lane of its own: its jobs compute on a stream of the thread. The median of the epochs after a first
    one, each from its beginning to the end of the last run's.
    """
    cache = make_cache(corpus, system, device)
    barrier = threading.Barrier(runs)
    began, ended = [[0.0] * (epochs + 1) for _ in range(runs)], [[0.0] * (epochs + 1) for _ in range(runs)]

    def train(number: int) -> None:
        try:
            engine = Engine(corpus, system, cache, seed=number + 1)
            for epoch in range(epochs + 1):
                barrier.wait(PATIENCE_S)
                began[number][epoch] = time.perf_counter()
                engine.epoch()
                ended[number][epoch] = time.perf_counter()
        except BaseException:
            barrier.abort()  # the others wait for this one no more
            raise

    with ThreadPoolExecutor(runs) as pool:
        errors = [future.exception() for future in [pool.submit(train, number) for number in range(runs)]]
    for error in sorted(filter(None, errors), key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    times = [
        max(last) - min(first) for first, last in zip(zip(*began, strict=True), zip(*ended, strict=True), strict=True)
    ]
    took = statistics.median(times[1:])
    return Speed(runs * len(corpus.utts) / took, None, max(0.0, times[0] - took))


def in_processes(corpus: BenchCorpus, system: str, device: torch.device, epochs: int, runs: int, threads: int) -> Speed:
    """All the utterances per second of runs in processes that begin to be timed at the same time."""
    barrier = context().Barrier(runs)
    jobs = [(corpus, system, device, epochs)] * runs
    speeds = list(imap(_one_of_many, jobs, runs, "runs", "run", _start, (barrier, device, threads), chunk=1))
    waits = [speed.wait for speed in speeds if speed.wait is not None]
    return Speed(sum(s.utts_per_s for s in speeds), sum(waits) / len(waits) if waits else None)


_barrier: Any  # of a worker process


def _start(barrier: Any, device: torch.device, threads: int) -> None:
    global _barrier
    _barrier = barrier
    prepare(device, threads)


def _one_of_many(job: tuple[BenchCorpus, str, torch.device, int]) -> Speed:
    corpus, system, device, epochs = job
    engine = Engine(corpus, system, make_cache(corpus, system, device))
    engine.epoch()  # compiles
    _barrier.wait(PATIENCE_S)
    return engine_speed(engine, epochs)
