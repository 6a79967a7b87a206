"""Strict reading of CSV files into data frames: every error names the file and the line.

The csv module splits the lines, because pandas fills rows that are too short and cuts those that are too long.
"""

import csv
import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text
from trnet.utils.numbers import real

PathLike = str | os.PathLike[str]
Field = Callable[[str], str | int | float]  # value of a field's text; raises ValueError with the reason
Check = tuple[pd.Series, Callable[[pd.Series], str]]
"""Which rows of a frame are wrong (bool), and the reason for one of them."""


def optional(text: str) -> float:
    """A finite number, NaN for an empty field."""
    return real(text) if text else float("nan")


def percent(text: str) -> float:
    """A number from 0 to 100."""
    return real(text, 0, 100)


def read_checked_csv(path: PathLike, columns: Mapping[str, Field], more: Field | None = None) -> pd.DataFrame:
    """A CSV file with a row for each line, indexed by the line's number.

    Args:
        columns: The columns that the header begins with, and what their fields hold; see `real`, `whole`, `optional`.
        more: What the fields of further columns hold; None: as text.

    Raises:
        TrnetError: If the file cannot be read, its header is another, it has no rows, or a field is malformed.
    """
    path = Path(path)
    rows: dict[int, list[str]] = {}
    line = 1
    try:
        reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
        for values in reader:
            line = reader.line_num
            if values:
                rows[line] = values
    except OSError as error:
        raise TrnetError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise TrnetError(f"{path}:{line}: not a CSV file in UTF-8 near this line ({reason}); write it anew") from error
    first, header = next(iter(rows.items()), (1, []))
    missing = [name for name in columns if name not in header]
    if missing or header[: len(columns)] != list(columns) or len(set(header)) < len(header):
        what = f"column {missing[0]} is missing" if missing else "columns out of order or repeated"
        mend = f"the header must begin {','.join(columns)}" if columns else "give each column a name of its own"
        raise TrnetError(f"{path}:{first}: {what}; {mend}")
    rows.pop(first, None)
    if not rows:
        raise TrnetError(f"{path}:{first}: no rows below the header; write the file anew")
    for line, values in rows.items():
        if len(values) != len(header):
            raise TrnetError(f"{path}:{line}: {len(values)} fields where the header has {len(header)}; mend the row")
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=header)
    for name in header:
        field = columns.get(name, more)
        if field is not None and field is not str:
            frame[name] = _parsed(path, frame[name], field)
    return frame


def _parsed(path: Path, column: pd.Series, field: Field) -> pd.Series:
    values = {}
    for text in column.unique():
        try:
            values[text] = field(text)
        except ValueError as error:
            line = column.index[column == text][0]
            raise TrnetError(f"{path}:{line}: {column.name}: {error}; mend or remove the row") from None
    return column.map(values)


def check_rows(path: PathLike, frame: pd.DataFrame, checks: Iterable[Check]) -> None:
    """Raise TrnetError with file, line and reason for the first row of a frame, indexed by line, that a check finds."""
    found = [(int(np.flatnonzero(wrong)[0]), reason) for wrong, reason in checks if wrong.any()]
    if found:
        place, reason = min(found, key=lambda one: one[0])
        raise TrnetError(f"{path}:{frame.index[place]}: {reason(frame.iloc[place])}; mend or remove the row")
