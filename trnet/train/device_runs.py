"""Runs that share a GPU, in threads of one process with one copy of the features.

When the GPU itself fails, the process cannot go on there: it begins anew in its place, with one run at a time, so that
the run that brings it about is known; that one is reported as failed, and the others are taken up again.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NoReturn, TypeVar

import torch

from trnet.train.captured import use_thread_stream
from trnet.utils.device import is_device_error
from trnet.utils.errors import TrnetError, first_line, of_runs
from trnet.utils.threads import in_threads
from trnet.utils.workers import failure_of, prepare, wait_for_others

log = logging.getLogger(__name__)

AGAIN = "TRNET_AFTER_DEVICE_ERROR"  # failures so far by the title of their run, where a process begins anew

Job = TypeVar("Job")


class DeviceFailed(BaseException):
    """The GPU failed in a run; the message is what it said."""

    def __init__(self, title: str, why: str) -> None:
        super().__init__(why)
        self.title = title


def run_on_gpu(
    work: Callable[[Job, int | None], object],
    jobs: Sequence[Job],
    at_once: int,
    device: torch.device,
    threads: int,
    desc: str,
    title: Callable[[Job], str],
) -> None:
    """Do long jobs on a GPU, `at_once` of them at a time; one that fails does not stop the others.

    Args:
        work: Called with a job and the line of its progress bar (None: the only one).
        threads: Of PyTorch on the host.
        title: Of a job; tells them apart.

    Raises:
        TrnetError: At the end if jobs failed: how many, and what was wrong with the first; if the GPU fails in all.
    """
    before: dict[str, str] = json.loads(os.environ.get(AGAIN, "{}"))
    todo = [job for job in jobs if title(job) not in before]
    at_once = 1 if AGAIN in os.environ else max(1, min(at_once, len(todo)))
    prepare(device, threads)
    failures, finished = list(before.values()), 0
    try:
        for failure in _failures(partial(_do, work, device, title), todo, at_once, desc):
            finished += failure is None
            if failure is not None:
                failures.append(failure)
                if len(jobs) > 1:
                    log.info("failed: %s", failure)
    except DeviceFailed as error:
        if at_once == 1:
            if before and not finished:
                why = f"the GPU failed in run after run ({error}); look at nvidia-smi, or use another one"
                raise TrnetError(why) from None
            before[error.title] = f"{error.title}: the GPU failed ({error}); try it alone, or on another one"
        _begin_anew(before, str(error))
    os.environ.pop(AGAIN, None)
    wait_for_others()
    if failures:
        raise of_runs(failures, len(jobs))


def _failures(
    do: Callable[[Job, int | None], str | None], jobs: Sequence[Job], at_once: int, desc: str
) -> Iterator[str | None]:
    if at_once == 1:
        return (do(job, None) for job in jobs)
    return in_threads(do, jobs, at_once, desc, "run")


def _do(
    work: Callable[[Job, int | None], object],
    device: torch.device,
    title: Callable[[Job], str],
    job: Job,
    line: int | None,
) -> str | None:
    """One job on the stream of this thread; why it failed, or None."""

    def guarded(job: Job, line: int | None) -> None:
        use_thread_stream(device)
        try:
            work(job, line)
        except Exception as error:
            if is_device_error(error):
                raise DeviceFailed(title(job), first_line(error)) from error
            raise

    return failure_of(guarded, job, line)


def _begin_anew(failed: dict[str, str], why: str) -> NoReturn:
    log.info("the GPU failed (%s): beginning anew with one run at a time", why)
    os.environ[AGAIN] = json.dumps(failed)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
