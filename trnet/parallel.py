"""The same function over many items in several processes, with a progress bar."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def _start_worker(initializer: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
    """One thread a worker; Ctrl-C is left to the parent, and a worker ends when its parent does, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded from here on
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if initializer is not None:
        initializer(*args)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def imap(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    nj: int,
    desc: str,
    unit: str = "utt",
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
    worth: int = 1,
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, computed in `nj` processes (in this one if `nj` is 1).

    A process takes seconds to start, so that there is one for each `worth` items at most. The first failure ends the
    work: its exception is raised here, waiting items are dropped.
    """
    nj = max(1, min(nj, len(items) // worth, os.cpu_count() or 1))
    bar = tqdm(total=len(items), desc=desc, unit=unit, disable=not items)
    with bar:
        if nj == 1:
            if initializer is not None:
                initializer(*initargs)
            for item in items:
                result = function(item)
                bar.update()
                yield result
            return
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(nj, context, _start_worker, (initializer, initargs))
        try:
            for result in pool.map(function, items, chunksize=max(1, min(8, len(items) // (4 * nj)))):
                bar.update()
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
