"""What trnet reports while it works: Python's ``logging``, shown as plain lines."""

import logging
import sys

LOGGER = "trnet"


class Console(logging.Handler):
    """Shows INFO as plain lines on standard output; WARNING and above on standard error, behind their level's name.

    Streams are looked up for each message, and progress bars are redrawn below it. An error in writing is raised, so
    that a closed pipe ends the command.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        from tqdm import tqdm  # here, so that a missing package is reported in one line

        serious = record.levelno >= logging.WARNING
        level = f"{record.levelname.lower()}: " if serious else ""
        if (stream := sys.stderr if serious else sys.stdout) is not None:
            tqdm.write(level + self.format(record), file=stream)


def configure(level: int = logging.INFO) -> None:
    """Show messages of trnet's modules from `level` on; called by commands and worker processes, not by libraries."""
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    if not any(isinstance(handler, Console) for handler in logger.handlers):
        logger.addHandler(Console())
