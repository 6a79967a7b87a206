"""Many runs on one machine: several at a time, each in a process of its own, one that fails not stopping the others.

On a CPU a run computes with one thread (or as many as asked for), so that its numbers do not depend on how many runs
share the machine. On several machines or GPUs, torchrun starts one process for each, and each takes its share.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from multiprocessing.queues import Queue
from typing import TypeVar

import torch
from tqdm import tqdm

from trnet.runs.experiment import Experiment
from trnet.utils.allocator import keep_freed_memory
from trnet.utils.device import gpu
from trnet.utils.errors import TrnetError, first_line, of_runs, one_line, report_unexpected
from trnet.utils.workers import imap

LONGEST = timedelta(days=365)  # that one process of torchrun waits for another

T = TypeVar("T")
Work = Callable[[Experiment, T, int | None], None]  # experiment, job, line of the progress bar

_experiment: Experiment
_work: Work
_position: int


def own_share(jobs: Sequence[T]) -> list[T]:
    """The jobs of this process among those that torchrun started; all where it did not."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    return list(jobs)[rank::world]


def _start(experiment: Experiment, work: Work, threads: int, lines: Queue, lock: object) -> None:
    global _experiment, _work, _position
    _experiment, _work, _position = experiment, work, lines.get()
    _prepare(experiment, threads)
    tqdm.set_lock(lock)


def _prepare(experiment: Experiment, threads: int) -> None:
    torch.set_num_threads(threads)
    if experiment.device.type == "cpu":
        keep_freed_memory()  # a seventh faster
    else:
        gpu(experiment.device.index or 0)


def _do(job: T) -> str | None:
    return _failure(_experiment, _work, job, _position)


def _failure(experiment: Experiment, work: Work, job: T, position: int | None) -> str | None:
    """Do one job; what is wrong with it, if anything is."""
    try:
        work(experiment, job, position)
    except TrnetError as error:
        return str(error)
    except torch.OutOfMemoryError as error:
        return f"{first_line(error)} Lower training.batch_size, or --nj"
    except OSError:  # a full disk, say, is one for the others, too
        raise
    except Exception as error:
        if (line := one_line(error)) is None:
            report_unexpected(error)
            line = f"unexpected {type(error).__name__}: {first_line(error)}"
        return line
    return None


def _wait_for_others() -> None:
    """Under torchrun, until every process has done its share: it ends all where one ends with a failure."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        torch.distributed.init_process_group("gloo", timeout=LONGEST)
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def do_all(experiment: Experiment, work: Work, jobs: Sequence[T], nj: int, threads: int, desc: str) -> None:
    """Do jobs, `nj` at a time.

    Args:
        experiment: What the jobs are about.
        work: A function of a module (it is sent to other processes).
        jobs: One call of `work` each.
        nj: Processes.
        threads: Threads of a process; numbers may depend on it in their last bits.
        desc: Of the progress bar.

    Raises: TrnetError at the end if jobs failed, saying how many, and what was wrong with the first.
    """
    nj = max(1, min(nj, len(jobs)))
    experiment = replace(experiment, at_once=nj)
    if nj == 1:
        _prepare(experiment, threads)
        results = (_failure(experiment, work, job, None) for job in jobs)
    else:
        context = multiprocessing.get_context("spawn")
        lines, lock = context.Queue(), context.RLock()
        for line in range(1, nj + 1):
            lines.put(line)
        results = imap(_do, jobs, nj, desc, "run", _start, (experiment, work, threads, lines, lock), chunk=1)
    failures: list[str] = []
    for failure in results:
        if failure is not None:
            failures.append(failure)
            if len(jobs) > 1:
                tqdm.write(f"failed: {failure}")
    _wait_for_others()
    if failures:
        raise of_runs(failures, len(jobs))
