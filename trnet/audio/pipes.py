"""Kaldi's ``program arguments | program arguments |``: audio that programs write, run without a shell.

Only the programs that are named run, in a process group of their own that is killed in the end, for a bounded time and
output. What needs a shell (``;``, ``&``, redirections, ``$``, backticks) is refused.
"""

import os
import selectors
import shlex
import signal
import subprocess
import tempfile
import time
from typing import IO, BinaryIO, NamedTuple

from trnet.utils.errors import TrnetError

LIMIT_S = 60.0  # a pipeline has ended by then
LARGEST = 1 << 31  # bytes that it may write
MESSAGE = 2000  # bytes of a program's error messages that are kept
SHELL = ";&<>$`()\n"
OPTION = "--allow-pipes true"


def is_pipe(entry: str) -> bool:
    """Whether an entry of a wav.scp is a command."""
    return entry.endswith("|")


def check_allowed(entry: str, allow_pipes: bool, where: str, option: str = OPTION) -> None:
    """Check that a command of a list may run.

    Raises:
        TrnetError: For a command that may not run (`option` allows it), or cannot without a shell.
    """
    if reason := refusal(entry, allow_pipes, option):
        raise TrnetError(f"{where}: {reason}")


def refusal(entry: str, allow_pipes: bool, option: str = OPTION) -> str:
    """Why a command may not run, or cannot without a shell; empty if it can."""
    if not allow_pipes:
        return f"is a pipe; give {option} to run the programs that it names, or write the audio to a file"
    try:
        parse(entry)
    except ValueError as error:
        return str(error)
    return ""


def parse(entry: str) -> list[list[str]]:
    """The programs of ``sph2pipe -f wav a.sph | sox -t wav - -t wav - |``, each with its arguments.

    Raises:
        ValueError: For what needs a shell, an open quotation mark, or no program between two ``|``.
    """
    programs, start, quote, skip = [], 0, "", False
    for place, sign in enumerate(entry):
        if skip:
            skip = False
        elif sign == "\\" and quote != "'":
            skip = True
        elif quote == "'" and sign != "'":
            continue
        elif sign in "$`" or (not quote and sign in SHELL):
            raise ValueError(f"{sign!r} in its command needs a shell, and none runs; write the audio to a file")
        elif sign in "'\"" and quote in ("", sign):
            quote = "" if quote else sign
        elif sign == "|" and not quote:
            programs.append(entry[start:place])
            start = place + 1
    try:
        words = [shlex.split(program) for program in programs]
    except ValueError as error:  # an open quotation mark
        raise ValueError(f"its command cannot be read ({error}); mend it") from None
    if quote or entry[start:].strip() or not all(words):
        raise ValueError("its command is not 'program arguments | ... |'; mend it")
    return words


def piped(entry: str, where: str) -> BinaryIO:
    """What the programs of an entry write, in a temporary file, at its beginning; `where`: what to call it in messages.

    Raises:
        TrnetError: If a program is missing, fails, does not end in time, or writes too much.
    """
    check_allowed(entry, True, where)
    pipeline = parse(entry)
    spool = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    try:
        _run(pipeline, spool, where)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


class _Program(NamedTuple):
    process: subprocess.Popen[bytes]
    out: IO[bytes]
    errors: IO[bytes]


def _run(pipeline: list[list[str]], spool: BinaryIO, where: str) -> None:
    until = time.monotonic() + LIMIT_S
    running: list[_Program] = []
    messages: list[bytes] = [b""] * len(pipeline)
    try:
        for program in pipeline:
            running.append(_start(program, running, where))
            if len(running) > 1:
                running[-2].out.close()  # its own end: the next one has it
        _read(running, messages, spool, until, where)
        for process, _, _ in running:
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                if time.monotonic() > until:
                    raise _late(where)
                time.sleep(0.002)
    finally:
        if running:
            # the first one is not waited for yet: the number is still its own
            os.killpg(running[0].process.pid, signal.SIGKILL)
        for process, out, errors in running:
            process.wait()
            out.close()
            errors.close()
    for number, ((process, _, _), program) in enumerate(zip(running, pipeline, strict=True)):
        ended_early = process.returncode == -signal.SIGPIPE and number + 1 < len(running)  # nobody reads on
        if process.returncode and not ended_early:
            reason = " ".join(messages[number].decode(errors="backslashreplace").split())
            how = f"exit status {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
            raise TrnetError(
                f"{where}: {program[0]} failed ({how}{': ' if reason else ''}{reason[:300]}); mend its command"
            )


def _start(program: list[str], running: list[_Program], where: str) -> _Program:
    try:
        process = subprocess.Popen(
            program,
            stdin=running[-1].out if running else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=running[0].process.pid if running else 0,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrnetError(
            f"{where}: {program[0]} cannot be started ({reason}); install it, or mend the command"
        ) from None
    assert process.stdout is not None and process.stderr is not None
    return _Program(process, process.stdout, process.stderr)


def _read(running: list[_Program], messages: list[bytes], spool: BinaryIO, until: float, where: str) -> None:
    """What the last program writes, and the first words of what each reports as errors, until all have closed both."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(running[-1].out, selectors.EVENT_READ, None)
        for number, program in enumerate(running):
            waiting.register(program.errors, selectors.EVENT_READ, number)
        size = 0
        while waiting.get_map():
            ready = waiting.select(until - time.monotonic())
            if time.monotonic() > until:
                raise _late(where)
            for key, _ in ready:
                part = os.read(key.fd, 1 << 16)
                if not part:
                    waiting.unregister(key.fileobj)
                elif key.data is None:
                    size += len(part)
                    if size > LARGEST:
                        raise TrnetError(f"{where}: its command writes more than {LARGEST} bytes; mend it")
                    spool.write(part)
                else:
                    messages[key.data] = (messages[key.data] + part)[:MESSAGE]


def _late(where: str) -> TrnetError:
    return TrnetError(f"{where}: its command did not end in {LIMIT_S:g} s; mend it, or write the audio to a file")
