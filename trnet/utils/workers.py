"""Worker processes: one function over many items (`imap`), processes that stay (`Workers`), many runs (`run_all`).

Ctrl-C is handled by the parent alone, which breaks off the items at work; a worker ends when its parent does.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tqdm import tqdm

from trnet.utils import logs
from trnet.utils.errors import TrnetError, first_line, of_runs, one_line, report_unexpected

if TYPE_CHECKING:  # torch takes seconds to import, and most workers do without it
    import torch

LONGEST_WAIT = timedelta(days=365)  # of one process of torchrun for the others
logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

# in a worker
_busy = False  # with an item
_stopping = False  # asked to end
_start_error: BaseException | None = None  # what the initializer raised
_run: Callable[[Any], str | None]  # see `run_all`


def context() -> ForkServerContext:
    """Workers are forked from a server, which imports once for all of them what of trnet is imported here.

    A module's ``WORKERS_IMPORT`` names what else workers that use it will import.
    """
    names = sorted(name for name in sys.modules if name.startswith("trnet."))
    more = {name for module in names for name in getattr(sys.modules[module], "WORKERS_IMPORT", ())}
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([*names, *sorted(more)])
    return found


def _start_worker(
    environment: dict[str, str], initializer: Callable[..., object] | None, args: tuple[Any, ...]
) -> None:
    """One thread a worker. What `initializer` raises is raised by the first item: the pool would print a traceback."""
    global _start_error
    _end_with_parent()
    logs.configure()
    os.environ.clear()  # it is the server's, of when that began
    os.environ.update(environment)
    os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded from here on
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        if initializer is not None:
            initializer(*args)
    except Exception as error:
        _start_error = error
    signal.signal(signal.SIGTERM, _stop)  # before, there is nothing to clean up


def _end_with_parent() -> None:
    """End this process when its parent ends, killed or not."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Break off the item at work, so that it cleans up, and take no other."""
    global _stopping
    _stopping = True
    if _busy:
        raise KeyboardInterrupt


class _Stoppable(Generic[Item, Result]):
    """A function that a worker asked to stop does not call again."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self.function = function

    def __call__(self, item: Item) -> Result:
        global _busy
        if _stopping:
            raise KeyboardInterrupt
        _busy = True
        try:
            if _start_error is not None:
                raise _start_error
            return self.function(item)
        except Exception as error:
            sent = sendable(error)
            if sent is error:
                raise
            raise sent from None
        finally:
            _busy = False


def sendable(error: Exception) -> Exception:
    """An exception that another process can read: itself, or a RuntimeError with the same text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # a local class, or one whose arguments are not those it keeps
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextlib.contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Hold a signal back until the end of the block; processes started in it never get it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workers:
    """Processes that stay until the end of a ``with`` block.

    The first failure (Ctrl-C is one) ends them all: items at work are broken off, waiting ones dropped.
    """

    def __init__(
        self,
        nj: int,
        desc: str = "work",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        """Prepare `nj` workers (1: this process does the work); `initializer` is called in each before its first."""
        self._nj, self._desc, self._start = nj, desc, (initializer, initargs)
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        self._processes: set[BaseProcess] = set()

    def __enter__(self) -> Workers:
        initializer, initargs = self._start
        if self._nj > 1:
            start = (dict(os.environ), *self._start)
            self._pool = concurrent.futures.ProcessPoolExecutor(self._nj, context(), _start_worker, start)
        elif initializer is not None:
            initializer(*initargs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        if kind is not None:
            for process in self._processes:
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            hint = "perhaps for lack of memory; lower --nj"
            raise TrnetError(f"{self._desc}: a worker process was killed, {hint}") from None

    def imap(self, function: Callable[[Item], Result], items: Sequence[Item], chunk: int = 1) -> Iterator[Result]:
        """Yield ``function(item)`` in the order of `items`; a process gets up to `chunk` of them at a time."""
        if self._pool is None:
            yield from map(function, items)
            return
        size = max(1, min(chunk, len(items) // (4 * self._nj)))
        others = set(multiprocessing.active_children())
        try:
            with _blocked(signal.SIGINT):
                results = self._pool.map(_Stoppable(function), items, chunksize=size)
        finally:
            self._processes |= set(multiprocessing.active_children()) - others
        yield from results

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """``[function(item) for item in items]``."""
        return list(self.imap(function, items))


def imap(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    nj: int,
    desc: str,
    unit: str = "utt",
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    worth: int = 1,
    chunk: int = 8,
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` in the order of `items` with a progress bar, computed by worker processes.

    Args:
        function: of a module, as are `items` and results: sent between processes.
        nj: largest number of processes; 1: this one.
        desc: of the bar and of messages.
        initializer: called once in each process before its first item.
        worth: items for which it pays to start a process, which takes seconds.
        chunk: largest number of items that a process gets at a time.

    Raises whatever `function` raises first, after all workers have ended; TrnetError if one was killed.
    """
    nj = max(1, min(nj, len(items) // worth, os.cpu_count() or 1))
    bar = tqdm(total=len(items), desc=desc, unit=unit, disable=not items)
    with bar, Workers(nj, desc, initializer, initargs) as workers:
        for result in workers.imap(function, items, chunk):
            bar.update()
            yield result


def own_share(jobs: Sequence[Item]) -> list[Item]:
    """The jobs of this process among those that torchrun started; all jobs without torchrun."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    return list(jobs)[rank::world]


def run_all(
    work: Callable[[Item, int | None], object],
    jobs: Sequence[Item],
    nj: int,
    device: torch.device,
    threads: int,
    desc: str,
) -> None:
    """Do long jobs (runs), several at a time; one that fails does not stop the others.

    On a CPU each job computes with `threads` threads, so that its numbers do not depend on how many share the machine.
    Under torchrun every process calls this with its `own_share`.

    Args:
        work: called with a job and the line of its progress bar (None: the only one); of a module, or a
            `functools.partial` of such a function, which may hold what all jobs have in common.
        nj: largest number of processes; 1: this one.
        device: that the jobs compute on.
        desc: of the progress bar over all jobs.

    Raises:
        TrnetError: At the end if jobs failed: how many, and what was wrong with the first.
    """
    nj = max(1, min(nj, len(jobs)))
    if nj == 1:
        prepare(device, threads)
        results: Iterator[str | None] = (failure_of(work, job, None) for job in jobs)
    else:
        lines, lock = context().Queue(), context().RLock()
        for line in range(1, nj + 1):
            lines.put(line)
        results = imap(_do_run, jobs, nj, desc, "run", _start_runs, (work, device, threads, lines, lock), chunk=1)
    failures = []
    for failure in results:
        if failure is not None:
            failures.append(failure)
            if len(jobs) > 1:
                logger.info("failed: %s", failure)
    wait_for_others()
    if failures:
        raise of_runs(failures, len(jobs))


def _start_runs(
    work: Callable[[Any, int | None], object], device: torch.device, threads: int, lines: Any, lock: Any
) -> None:
    global _run
    position = lines.get()
    _run = lambda job: failure_of(work, job, position)  # noqa: E731 (a worker's state)
    prepare(device, threads)
    tqdm.set_lock(lock)


def _do_run(job: object) -> str | None:
    from trnet.utils.allocator import give_back_freed_memory

    try:
        return _run(job)
    finally:  # the next job may be another worker's
        give_back_freed_memory()


def prepare(device: torch.device, threads: int) -> None:
    """Set PyTorch up for a process that computes runs on a device."""
    import torch

    from trnet.utils.allocator import keep_freed_memory
    from trnet.utils.device import gpu

    torch.set_num_threads(threads)
    if device.type == "cpu":
        keep_freed_memory()  # a seventh faster
    else:
        torch.cuda.set_device(gpu(device.index or 0))


def failure_of(work: Callable[[Item, int | None], object], job: Item, position: int | None) -> str | None:
    """Do one job; the line that says why it failed, or None."""
    try:
        work(job, position)
    except OSError:  # a full disk, say, concerns the other jobs too
        raise
    except Exception as error:
        if (line := one_line(error)) is None:
            report_unexpected(error)
            line = f"unexpected {type(error).__name__}: {first_line(error)}"
        return line
    return None


def wait_for_others() -> None:
    """Under torchrun, wait until every process has done its share: it ends all when one fails."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        import torch

        torch.distributed.init_process_group("gloo", timeout=LONGEST_WAIT)
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
