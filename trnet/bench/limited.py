"""Commands with a limit in time: stopped as by Ctrl-C, then killed, with all that they started."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 8.0  # between Ctrl-C and the end
LOOK_S = 0.1
TICK_S = 20.0


@dataclass(frozen=True)
class Command:
    """What is run, where, and the log that gets its output."""

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, None if it was stopped at its limit, and the seconds it took."""

    status: int | None
    seconds: float


def run_together(commands: Sequence[Command], limit_s: float, tick: Callable[[], object]) -> list[Ended]:
    """Run commands at the same time, each `limit_s` seconds at most; `tick` is called every `TICK_S` seconds.

    Whatever ends this function ends the commands, too.
    """
    began, ticked = time.monotonic(), time.monotonic()
    processes = [_start(command) for command in commands]
    ended: dict[int, Ended] = {}
    try:
        while len(ended) < len(processes):
            now = time.monotonic()
            for number, process in enumerate(processes):
                if number not in ended and process.poll() is not None:
                    ended[number] = Ended(process.returncode, now - began)
            if now - began > limit_s:
                break
            if now - ticked > TICK_S:
                tick()
                ticked = now
            time.sleep(LOOK_S)
    finally:
        _stop([process for number, process in enumerate(processes) if number not in ended])
    took = time.monotonic() - began
    return [ended.get(number, Ended(None, took)) for number in range(len(processes))]


def _start(command: Command) -> subprocess.Popen[bytes]:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with open(command.log, "ab") as stream:
        stream.write(f"$ {' '.join(command.words)}\n".encode())
        stream.flush()
        return subprocess.Popen(
            command.words,
            cwd=command.folder,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, which can be stopped whole
            preexec_fn=_hear_ctrl_c,
        )


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what runs in the background is born deaf to it


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ctrl-C to the groups of processes, and what is left of the groups is killed."""
    for process in processes:
        _signal(process, signal.SIGINT)
    until = time.monotonic() + GRACE_S
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
    for process in processes:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
