"""Entry points, one thin file a stage: ``python -m trnet.bin.<verb> --help``."""

import gc
import os
import signal
import sys
from types import FrameType, TracebackType

from trnet.utils.errors import STOPPED, printable, report


def _stop_at_once(_number: int, _frame: FrameType | None) -> None:
    os.write(2, f"\n{STOPPED}\n".encode())
    os._exit(130)


def _report(_kind: type[BaseException], error: BaseException, _where: TracebackType | None) -> None:
    """What is raised before a command's `main` takes over, a package that is not installed above all."""
    if isinstance(error, ModuleNotFoundError):
        mend = "run 'make -C tools' in trnet's checkout, or set PYTHON to one that has trnet's requirements"
        line = f"error: {sys.executable}: the package {error.name} is not installed; {mend}"
        print(printable(line), file=sys.stderr)
    else:
        report(error)


if sys.argv[0] == "-m":  # Python is looking for the module to run: what it imports first takes seconds
    gc.disable()  # modules hold no garbage, and looking for it takes a quarter of that time; one_line_errors enables it
    sys.excepthook = _report
    signal.signal(signal.SIGINT, _stop_at_once)  # one_line_errors takes over
    signal.signal(signal.SIGTERM, _stop_at_once)
