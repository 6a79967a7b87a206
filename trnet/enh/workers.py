"""Scoring many pairs of signals in a few processes that stay."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from trnet.utils.errors import TrnetError
from trnet.utils.workers import end_with_parent


def _start() -> None:
    """Ctrl-C is the parent's alone, its end this process's too; one thread a process."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"


@contextmanager
def mapping(nj: int) -> Iterator[Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]]:
    """Yield ``apply(function, items)``, the list of results in order, computed in `nj` processes (1: in this one)."""
    if nj <= 1:
        yield lambda function, items: [function(item) for item in items]
        return
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(nj, context, _start)
    try:
        yield lambda function, items: list(pool.map(function, items))
    except BrokenProcessPool:
        raise TrnetError("scoring: a worker process was killed, perhaps for want of memory; lower --nj") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
