"""The one exception that stands for a mistake in the input, and how a command reports whatever is raised."""

import errno
import functools
import gc
import getpass
import os
import signal
import stat
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trnet.utils import logs

IN_THE_WAY = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
    *(errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ETXTBSY, errno.ENOTEMPTY),
)
GPU_FAILURES = ("CUDA error", "CUDA driver error", "Triton Error [CUDA]", "cuDNN error")  # what their messages have
FULL = (errno.ENOSPC, errno.EDQUOT)
STOPPED = "stopped; run the same command again to go on"
DEBUG = "TRNET_DEBUG"  # 1: tracebacks on the screen, too


class TrnetError(Exception):
    """Something the user can mend. Its message is one line: what, where, and what to do.

    Attributes:
        reason: The message without what to do, where that was given apart as `mend`.
    """

    def __init__(self, reason: str = "", mend: str = "") -> None:
        super().__init__(reason, mend)
        self.reason, self.mend = reason, mend

    def __str__(self) -> str:
        return f"{self.reason}; {self.mend}" if self.mend else str(self.reason)


def nearest(name: str, known: Sequence[str]) -> str:
    """``"; did you mean 'x'? Known: a b c"``, to end the message about an unknown name."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"{hint} Known: {' '.join(known)}"


def first_line(error: BaseException) -> str:
    """What an error says first, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def printable(text: str) -> str:
    """A text for a terminal: control characters and what is no text (of file names, say) as ``\\x1b``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def of_runs(failures: Sequence[object], total: int) -> TrnetError:
    """What was wrong with the first of the runs that failed, and how many of `total` did."""
    done = "; the others are done" if len(failures) < total else ""
    more = "" if total == 1 else f" ({len(failures)} of {total} runs failed{done})"
    return TrnetError(f"{failures[0]}{more}")


def how_to_install(extra: str) -> str:
    """The command that installs what belongs to an extra of trnet."""
    return f"in trnet's checkout: tools/venv/bin/pip install -e '.[{extra}]'"


def missing_package(package: str, extra: str) -> TrnetError:
    """That a package of an extra of trnet is not installed, and how to install it."""
    return TrnetError(f"the package {package} is not installed; {how_to_install(extra)}")


def one_line(error: BaseException) -> str | None:
    """The line for a failure that a user can mend; None for anything else, which is a bug."""
    if isinstance(error, TrnetError):
        return " ".join(str(error).split())
    if isinstance(error, OSError):
        return _disk_line(error)
    if isinstance(error, MemoryError):
        return "out of memory; ask for less at a time (--nj, training.batch_size), or use a machine with more"
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for it
        return f"{first_line(error)} Ask for less at a time (training.batch_size, --batch-size, --nj), or free the GPU"
    if any(text in str(error) for text in GPU_FAILURES):
        return f"the GPU failed ({first_line(error)}); look at nvidia-smi, or go without it: --ngpu 0"
    return None


def _disk_line(error: OSError) -> str | None:
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    if error.errno in FULL:
        return f"{where or 'what is written'}: no space left on the disk; free some and run the same command again"
    if error.errno == errno.EFBIG:
        return f"{where or 'what is written'}: is larger than a file may be here; raise the limit (ulimit -f)"
    if error.errno in IN_THE_WAY and where:
        return f"{where}: {error.strerror}; name another place, or mend this one"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open; raise the limit (ulimit -n), or lower --nj"
    if error.errno in (errno.EIO, errno.ESTALE):
        return f"{where or 'a disk'}: {error.strerror}; see whether the disk is well, and run the same command again"
    return None


def log_folder() -> Path:
    """This user's own folder for logs of unexpected errors, ``$TMPDIR/trnet-<user>``.

    Raises:
        OSError: If it is not.
    """
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = str(os.getuid())
    folder = Path(tempfile.gettempdir(), f"trnet-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "is another user's", str(folder))
    return folder


def report_unexpected(error: BaseException) -> None:
    """Report in one line that something was not expected; its traceback goes to a log file (mode 600) that is named."""
    trace = "".join(traceback.format_exception(error))
    if os.environ.get(DEBUG) == "1":
        print(trace, file=sys.stderr, end="")
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:300] or 'without a word'}"
    try:
        handle, name = tempfile.mkstemp(prefix="error-", suffix=".log", dir=log_folder())  # mode 600
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{' '.join(map(printable, sys.argv))}\n{trace}")
        where = f"the traceback is in {name}"
    except OSError:
        where = f"{DEBUG}=1 shows the traceback"
    _print_error(f"unexpected {what}; {where}; please report it with that file")


def _print_error(message: str) -> None:
    print(f"error: {printable(message)}", file=sys.stderr)


def report(error: BaseException) -> int:
    """Report in one line what was raised; the exit status that goes with it.

    Ctrl-C or a termination signal gives 130, a reader of standard output that went away 1 without a word, anything
    else 1 with a line.
    """
    if isinstance(error, KeyboardInterrupt):
        print(f"\n{STOPPED}", file=sys.stderr)
        return 130
    if isinstance(error, BrokenPipeError):
        _give_up_stdout()
        return 1
    message = one_line(error)
    if message is None:
        report_unexpected(error)
    else:
        if os.environ.get(DEBUG) == "1":
            traceback.print_exception(error)
        _print_error(message)
    return 1


def _fill_closed_streams() -> None:
    """Where standard streams are closed (``2>&-``), no file may get their number, which libraries write to."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives)


def _give_up_stdout() -> None:
    """Nobody reads standard output any more: what is still in its buffer goes nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # not a real one
        pass


def keep_modules() -> None:
    """Look for garbage among what is made from here on only: modules live as long as the process."""
    gc.freeze()
    gc.enable()


def one_line_errors(main: Callable[..., int | None]) -> Callable[..., int]:
    """Turn whatever a command raises into one line on stderr and an exit status that is not 0; see `report`.

    A mistake in the input has a message of its own; what nobody expected is named, and its traceback is in a log file.
    """

    @functools.wraps(main)
    def run(*args: Any, **kwargs: Any) -> int:
        if not gc.isenabled():  # see trnet.bin
            keep_modules()
        _fill_closed_streams()
        logs.configure()
        if threading.current_thread() is threading.main_thread():
            for stop in (signal.SIGINT, signal.SIGTERM):
                signal.signal(stop, signal.default_int_handler)  # KeyboardInterrupt, so that all is cleaned up
            if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # the terminal is gone; nohup has it ignored
                signal.signal(signal.SIGHUP, signal.default_int_handler)
        try:
            return main(*args, **kwargs) or 0
        except (Exception, KeyboardInterrupt) as error:
            return report(error)

    return run
