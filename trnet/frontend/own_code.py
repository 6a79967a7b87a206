"""Errors of front-ends named ``package.module:Class``, whose code may raise anything."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from trnet.utils.errors import TrnetError, first_line

PASSED_ON = (TrnetError, OSError, MemoryError, torch.OutOfMemoryError)  # reported in one line anyway


@contextmanager
def named_in_errors(name: str, doing: str) -> Iterator[None]:
    """Turn an exception of a user's class into a TrnetError that names the class.

    ``name`` is the front-end's; exceptions of trnet's own are bugs and pass through. ``doing``: what was to be done.
    """
    try:
        yield
    except PASSED_ON:
        raise
    except Exception as error:
        if ":" not in name:
            raise
        what = f"{type(error).__name__}: {first_line(error)}"
        raise TrnetError(f"front-end {name}: raised {what}, when it was to {doing}; correct the class") from error
