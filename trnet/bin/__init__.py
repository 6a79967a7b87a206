"""Entry points, one thin file a stage: ``python -m trnet.bin.<verb> --help``."""

import os
import signal
import sys
from types import FrameType

from trnet.errors import STOPPED


def _stop_at_once(_number: int, _frame: FrameType | None) -> None:
    os.write(2, f"\n{STOPPED}\n".encode())
    os._exit(130)


if sys.argv[0] == "-m":  # Python is looking for the module to run: what it imports first takes seconds
    signal.signal(signal.SIGINT, _stop_at_once)  # one_line_errors takes over
    signal.signal(signal.SIGTERM, _stop_at_once)
