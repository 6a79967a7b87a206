"""The same function over many items in several processes, with a progress bar."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")


def _one_thread(initializer: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    if initializer is not None:
        initializer(*args)


def imap(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    nj: int,
    desc: str,
    unit: str = "utt",
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, computed in `nj` processes (in this one if `nj` is 1).

    The first failure ends the work: its exception is raised here, waiting items are dropped.
    """
    nj = max(1, min(nj, len(items), os.cpu_count() or 1))
    bar = tqdm(total=len(items), desc=desc, unit=unit, disable=not items)
    with bar:
        if nj == 1:
            if initializer is not None:
                initializer(*initargs)
            for item in items:
                yield function(item)
                bar.update()
            return
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(nj, context, _one_thread, (initializer, initargs))
        try:
            for result in pool.map(function, items, chunksize=max(1, min(16, len(items) // (4 * nj)))):
                yield result
                bar.update()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
