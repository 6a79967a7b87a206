"""Long jobs in threads of one process, for runs that share a GPU and what lies in its memory."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

Job = TypeVar("Job")
Result = TypeVar("Result")

_stopping = threading.Event()


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt in a thread of `in_threads` that is to end; call it every now and then."""
    if _stopping.is_set() and threading.current_thread() is not threading.main_thread():
        raise KeyboardInterrupt


def in_threads(
    function: Callable[[Job, int], Result], jobs: Sequence[Job], threads: int, desc: str, unit: str
) -> Iterator[Result]:
    """Yield ``function(job, line)`` as they finish, with a progress bar; each thread takes the next job that waits.

    When this process is interrupted, or the caller stops asking, threads are told to end (`stop_if_asked`) and waited
    for. What `function` raises is raised here.

    Args:
        function: `line` is the line of the thread's own progress bar.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)

    def work(line: int) -> None:
        with contextlib.suppress(queue.Empty):
            while not _stopping.is_set():
                job = waiting.get_nowait()
                try:
                    done.put((function(job, line), None))
                except BaseException as error:  # noqa: BLE001 (raised again below)
                    done.put((None, error))

    _stopping.clear()
    workers = [threading.Thread(target=work, args=(line,), name=f"{desc} {line}") for line in range(1, threads + 1)]
    try:
        for worker in workers:
            worker.start()
        for _ in tqdm(jobs, desc=desc, unit=unit):
            result, error = done.get()
            if error is not None:
                raise error
            yield result  # type: ignore[misc]
    finally:
        _stopping.set()
        for worker in workers:
            worker.join()
        _stopping.clear()
