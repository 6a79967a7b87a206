"""The rows of the benchmark of training, each a way of feeding the step."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from trnet.bench.train_floors import copy_mib_per_s, matmul_gflops, step_work
from trnet.bench.train_speed import (
    BenchCorpus,
    Engine,
    Speed,
    bare_speed,
    engine_speed,
    make_cache,
    obvious_speed,
    steps_of,
    with_training,
)
from trnet.bench.train_together import in_processes, in_threads
from trnet.features.cache import FeatureCache
from trnet.utils.compiled import cache_misses

ROWS = {
    "bare": "the bare step, one batch again and again",
    "eager": "engine, features in memory, not compiled",
    "engine": "engine, features in memory",
    "archives": "engine, features from the archives",
    "dataloader": "waveforms and fbanks by a DataLoader, {workers} workers",
    "threads": "engine, {runs} runs at a time in threads",
    "processes": "engine, {runs} runs at a time",
    "float32": "engine, features in memory, float32",
    "compiled": "engine, features in memory, compiled",
}
ON_CPU = ("bare", "engine", "archives", "dataloader", "processes")
ON_GPU = ("bare", "eager", "engine", "archives", "dataloader", "threads", "processes", "float32")
ROUNDS = 3  # at least, of two ways in turn


@dataclass
class TrainBench:
    """Measures rows on a corpus."""

    corpus: BenchCorpus
    system: str
    device: torch.device
    epochs: int
    runs: Sequence[int]  # at a time
    threads: int  # of a run on a CPU
    workers: int  # of the DataLoader

    def __post_init__(self) -> None:
        self.found: dict[str, Any] = {
            "rows": [],
            "failed": {},
            "floors": {},
            "frames": max(self._cache.length.values()),
        }

    @property
    def precision(self) -> str:
        """Of the corpus's configuration."""
        return self.corpus.config.training.precision

    @cached_property
    def _cache(self) -> FeatureCache:
        return make_cache(self.corpus, self.system, self.device)

    @cached_property
    def _eager(self) -> Engine:
        return self._engine(compile=False)

    @cached_property
    def _copy(self) -> float:
        return copy_mib_per_s(self.device)

    def _engine(self, **training: Any) -> Engine:
        return Engine(with_training(self.corpus, **training) if training else self.corpus, self.system, self._cache)

    def measure(self, key: str) -> Iterator[dict[str, Any]]:
        """Measure what a row, or a row for each number of runs, says; also kept in `found`."""
        self._floors(self.precision)
        for row in getattr(self, f"_{key}_rows")():
            self.found["rows"].append(row)
            yield row

    def _floors(self, precision: str) -> dict[str, float]:
        """What a step of this precision has to do, and the steps a second that the device could do."""
        known = self.found["floors"].get(precision)
        if known is not None:
            return known
        engine = self._eager if precision == self.precision else self._engine(compile=False, precision=precision)
        size = self.corpus.config.training.batch_size
        work, peak = step_work(engine, size), matmul_gflops(self.device, self.threads, precision)
        floor = {
            "gflop": work.gflop,
            "mib": work.mib,
            "matmul_gflop_per_s": peak,
            "copy_mib_per_s": self._copy,
            "steps_by_flop": peak / work.gflop,
            "steps_by_bytes": self._copy / work.mib,
        }
        self.found["floors"][precision] = floor
        return floor

    def _row(self, key: str, speed: Speed, runs: int = 1, precision: str = "") -> dict[str, Any]:
        precision = precision or self.precision
        floor = self._floors(precision)
        steps = speed.utts_per_s / self.corpus.config.training.batch_size
        bare = next((row["steps_per_s"] for row in self.found["rows"] if row["key"] == "bare"), None)
        bare = steps if key == "bare" else bare
        share = 1 if self.device.type == "cuda" else runs  # of a processor's cores each run has one of its own
        return {
            "key": key,
            "what": ROWS[key].format(runs=runs, workers=self.workers),
            "runs": runs,
            "precision": precision,
            "utts_per_s": speed.utts_per_s,
            "steps_per_s": steps,
            "of_bare": None if bare is None else steps / bare / runs,
            "wait": speed.wait,
            "of_matmul": steps * floor["gflop"] / floor["matmul_gflop_per_s"] / share,
            "of_bytes": steps * floor["mib"] / floor["copy_mib_per_s"] / share,
            "first_s": speed.first_s,
            "cache": "cold" if speed.cold else "warm",
        }

    def _bare_rows(self) -> Iterator[dict[str, Any]]:
        yield self._row("bare", bare_speed(self._eager, max(2, steps_of(self._eager))))

    def _eager_rows(self) -> Iterator[dict[str, Any]]:
        yield self._row("eager", engine_speed(self._eager, self.epochs))

    def _engine_rows(self) -> Iterator[dict[str, Any]]:
        yield self._row("engine", engine_speed(self._engine(), self.epochs))

    def _archives_rows(self) -> Iterator[dict[str, Any]]:
        corpus = with_training(self.corpus, compile=False)
        cache = make_cache(corpus, self.system, self.device, resident=False)
        yield self._row("archives", engine_speed(Engine(corpus, self.system, cache), self.epochs))

    def _dataloader_rows(self) -> Iterator[dict[str, Any]]:
        yield self._row("dataloader", obvious_speed(self._eager, self.corpus, self.workers))

    def _threads_rows(self) -> Iterator[dict[str, Any]]:
        for runs in self.runs:
            speed = in_threads(self.corpus, self.system, self.device, self.epochs, runs)
            yield self._row("threads", speed, runs)

    def _processes_rows(self) -> Iterator[dict[str, Any]]:
        for runs in filter(lambda runs: runs > 1, self.runs):
            speed = in_processes(self.corpus, self.system, self.device, self.epochs, runs, self.threads)
            yield self._row("processes", speed, runs)

    def _float32_rows(self) -> Iterator[dict[str, Any]]:
        if self.precision != "float32":
            engine = self._engine(precision="float32")
            yield self._row("float32", engine_speed(engine, self.epochs), precision="float32")

    def _compiled_rows(self) -> Iterator[dict[str, Any]]:
        """Compiled and not, in turn; the median of the rounds' ratios."""
        compiled, eager, known = self._engine(compile=True), self._eager, cache_misses()
        first = compiled.epoch()
        cold = cache_misses() > known
        eager.epoch()
        pairs = [(compiled.epoch(), eager.epoch()) for _ in range(max(ROUNDS, self.epochs))]
        took = statistics.median(mine for mine, _ in pairs)
        speed = Speed(len(self.corpus.utts) / took, None, max(0.0, first - took), cold)
        row = self._row("compiled", speed)
        row["times_eager"] = statistics.median(other / mine for mine, other in pairs)
        yield row
