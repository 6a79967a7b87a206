"""The one exception that stands for a mistake in the input, and how a command reports it."""

import errno
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from difflib import get_close_matches

IN_THE_WAY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
STOPPED = "stopped; run the same command again to go on"


class TrnetError(Exception):
    """Something the user can mend. Its message is one line: what, where, and what to do."""


def nearest(name: str, known: Sequence[str]) -> str:
    """``"; did you mean 'x'? Known: a b c"``, to end the message about an unknown name."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    return f"{hint} Known: {' '.join(known)}"


def first_line(error: Exception) -> str:
    """What an error says first, or its kind where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def one_line_errors(main: Callable[..., int | None]) -> Callable[..., int]:
    """Turn the failures a user can mend into one line on stderr and an exit status that is not 0.

    `TrnetError` gives 1, a full disk, a file that may not be read or written, or a GPU out of memory 1, Ctrl-C or a
    termination signal 130.
    Anything else is a bug and keeps its traceback.
    """

    @functools.wraps(main)
    def run(*args, **kwargs) -> int:
        if threading.current_thread() is threading.main_thread():
            for stop in (signal.SIGINT, signal.SIGTERM):
                signal.signal(stop, signal.default_int_handler)  # KeyboardInterrupt, so that all is cleaned up
        try:
            return main(*args, **kwargs) or 0
        except TrnetError as error:
            message = " ".join(str(error).split())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                where = error.filename or os.getcwd()
                message = f"{where}: no space left on the disk; free some and run the same command again"
            elif error.errno in IN_THE_WAY and error.filename:
                message = f"{error.filename}: {error.strerror}; name another place, or mend this one"
            else:
                raise
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported for it
                raise
            message = f"{first_line(error)} Ask for less at a time, or free the GPU"
        except KeyboardInterrupt:
            print(f"\n{STOPPED}", file=sys.stderr)
            return 130
        print(f"error: {message}", file=sys.stderr)
        return 1

    return run
