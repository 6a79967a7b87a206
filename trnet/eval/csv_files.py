"""Strict reading of CSV files: every error names the file and the line."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from sys import intern
from typing import TypeVar

from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text
from trnet.utils.numbers import real, whole

PathLike = str | os.PathLike[str]
_T = TypeVar("_T")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of a CSV file, the header first; blank lines are skipped."""
    line = 1
    try:
        reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        for values in reader:
            line = reader.line_num
            if values:
                yield line, values
    except OSError as error:
        raise TrnetError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        reason = " ".join(str(error).split())
        what = f"not a CSV file in UTF-8 near this line ({reason})"
        raise TrnetError(f"{path}:{line}: {what}: write it anew") from error


def _columns(path: Path, line: int, header: list[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in header]
    if missing or header[: len(wanted)] != list(wanted) or len(set(header)) < len(header):
        what = f"column {missing[0]} is missing" if missing else "columns out of order or repeated"
        raise TrnetError(f"{path}:{line}: {what}: the header must begin {','.join(wanted)}")


def read_rows(
    path: Path, wanted: Sequence[str], parse: Callable[[list[str], tuple[str, ...]], _T]
) -> tuple[tuple[str, ...], Iterator[tuple[int, _T]]]:
    """The columns after the ``wanted`` ones, and (line, parsed row) of every row.

    ``parse`` gets a row's fields and those further columns, and raises ValueError with the
    reason when the row is malformed. That, a wrong header, no rows or an unreadable file is a
    TrnetError which names the file and the line.
    """
    lines = _lines(path)
    line, header = next(lines, (1, []))
    _columns(path, line, header, wanted)
    extra = tuple(intern(name) for name in header[len(wanted) :])

    def parsed() -> Iterator[tuple[int, _T]]:
        count = 0
        for count, (number, values) in enumerate(lines, start=1):  # noqa: B007
            try:
                if len(values) != len(header):
                    raise ValueError(f"{len(values)} fields where the header has {len(header)}")
                row = parse(values, extra)
            except ValueError as error:
                raise TrnetError(f"{path}:{number}: {error}: mend or remove the row") from error
            yield number, row
        if not count:
            raise TrnetError(f"{path}:{line}: no rows below the header: write the file anew")

    return extra, parsed()


def number(name: str, text: str) -> float:
    """The finite number that a field holds; raises ValueError with the reason."""
    try:
        return real(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def integer(name: str, text: str) -> int:
    """The whole number that a field holds; raises ValueError with the reason."""
    try:
        return whole(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
