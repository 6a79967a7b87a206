"""The same function over many items in several processes, with a progress bar."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from types import FrameType
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from trnet.utils import logs
from trnet.utils.errors import TrnetError

Item = TypeVar("Item")
Result = TypeVar("Result")

# in a worker
_at_work = False  # on an item
_stopped = False  # asked to end
_not_begun: BaseException | None = None  # what the initializer raised


def _start_worker(initializer: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
    """One thread a worker; a worker ends when its parent does, however it does.

    What `initializer` raises is kept for the first item: the pool would write a traceback and say that it is broken.
    """
    global _not_begun
    end_with_parent()
    logs.configure()
    os.environ["OMP_NUM_THREADS"] = "1"  # for libraries that are loaded from here on
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        if initializer is not None:
            initializer(*args)
    except Exception as error:
        _not_begun = error
    signal.signal(signal.SIGTERM, _stop)  # before, there is nothing to clean up


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Break off the item at work, so that it cleans up, and take no other."""
    global _stopped
    _stopped = True
    if _at_work:
        raise KeyboardInterrupt


class _UnlessStopped(Generic[Item, Result]):
    """A function that a worker asked to stop does not begin again."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self.function = function

    def __call__(self, item: Item) -> Result:
        global _at_work
        if _stopped:
            raise KeyboardInterrupt
        _at_work = True
        try:
            if _not_begun is not None:
                raise _not_begun
            return self.function(item)
        except Exception as error:
            sent = sendable(error)
            if sent is error:
                raise
            raise sent from None
        finally:
            _at_work = False


def sendable(error: Exception) -> Exception:
    """An exception that another process can read: itself, or one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # a class that is local, or wants other arguments than it keeps
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def end_with_parent() -> None:
    """Have this process end when the one that started it does, killed or not."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Hold a signal back until the end of the block; processes started in it never get it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def imap(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    nj: int,
    desc: str,
    unit: str = "utt",
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
    worth: int = 1,
    chunk: int = 8,
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, computed in `nj` processes (in this one if `nj` is 1).

    A process takes seconds to start, so that there is one for each `worth` items at most; it is handed up to `chunk`
    items at a time. The first failure (Ctrl-C is
    one) ends the work: its exception is raised here, items at work are broken off, waiting ones dropped.
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
        others = set(multiprocessing.active_children())
        pool = concurrent.futures.ProcessPoolExecutor(nj, context, _start_worker, (initializer, initargs))
        done = False
        try:
            with _blocked(signal.SIGINT):  # the workers inherit it: Ctrl-C is the parent's alone
                size = max(1, min(chunk, len(items) // (4 * nj)))
                results = pool.map(_UnlessStopped(function), items, chunksize=size)
            for result in results:
                bar.update()
                yield result
            done = True
        except BrokenProcessPool:
            raise TrnetError(f"{desc}: a worker process was killed, perhaps for want of memory; lower --nj") from None
        finally:
            if not done:
                for worker in set(multiprocessing.active_children()) - others:
                    worker.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
