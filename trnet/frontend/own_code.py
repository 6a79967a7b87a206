"""Front-ends named ``package.module:Class`` run somebody's own code, which may raise anything."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trnet.utils.errors import TrnetError, first_line

PASSED_ON = (TrnetError, OSError, MemoryError, torch.OutOfMemoryError)  # which say what to do


@contextmanager
def named_in_errors(name: str, doing: str) -> Iterator[None]:
    """Turn what a class of somebody's own raises into one line that names it.

    Args:
        name: Of the front-end; one of trnet's own is left alone, as what it raises is a bug of trnet.
        doing: What it was about to do, for the message.

    Raises: TrnetError.
    """
    try:
        yield
    except PASSED_ON:
        raise
    except Exception as error:
        if ":" not in name:
            raise
        what = f"{type(error).__name__}: {first_line(error)}"
        raise TrnetError(f"front-end {name}: raised {what}, when it was to {doing}; mend the class") from error
