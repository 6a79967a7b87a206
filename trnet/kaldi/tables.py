"""The lines of a data directory's table, and whether they are well-formed."""

import codecs
from dataclasses import dataclass
from pathlib import Path

from trnet.kaldi.data_dir import key_and_value
from trnet.utils.files import read_bytes


@dataclass(frozen=True)
class Row:
    """One line: its number (from 1) and what follows the key."""

    number: int
    value: str


class Rows(dict[str, Row]):
    """The lines of one file by their keys, in the order of the file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


def _line_problem(line: str, may_be_empty: bool) -> str:
    """What is wrong with the form of a line, with its mend; "" if nothing is."""
    key, _, value = line.replace("\t", " ").partition(" ")
    if "\0" in line:
        return "holds a NUL byte, as if the file were damaged; write it anew"
    if "\r" in line:
        return "has a carriage return (CR); convert the file to Unix line ends"
    if line != line.rstrip():
        return "ends in blanks; delete them"
    if len((line + ".").splitlines()) > 1:
        return "holds a line break or control character inside; replace it by a blank"
    if not line:
        return "is empty; delete it"
    if not key or value != value.lstrip():
        return "is not 'key value' with one blank or tab between; mend it"
    if not value and not may_be_empty:
        return f"has no value for {key}; complete or delete it"
    return ""


def read_rows(path: Path) -> tuple[Rows, list[str]]:
    """Read a table; the problems of its lines: form, encoding, duplicates, order. Each kind once, counted."""
    rows = Rows(path)
    problems: dict[str, list[int]] = {}
    data = read_bytes(path)
    if data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
        problems["begins with a byte order mark (BOM); write the file without one"] = [1]
    if not data:
        return rows, [f"{path}:1: is empty; run the stage that writes it again"]
    if not data.endswith(b"\n"):
        last = data.count(b"\n") + 1
        problems["has no line end, as if the file were cut off; write it anew"] = [last]
    previous = b""
    for number, raw in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            problems.setdefault("is not UTF-8; convert the file", []).append(number)
            continue
        key, value = key_and_value(line)
        problem = _line_problem(line, may_be_empty=path.name == "text")
        if key and key in rows:
            problem = f"has key {key} of line {rows[key].number} again; delete one of the two"
        elif key.encode() < previous:
            problem = problem or "is out of order; sort the file with LC_ALL=C sort"
        if problem:
            problems.setdefault(problem, []).append(number)
        if key:
            rows.setdefault(key, Row(number, value))
            previous = key.encode()
    likewise = {len(numbers): f" ({len(numbers) - 1} more lines likewise)" for numbers in problems.values()} | {1: ""}
    return rows, [f"{path}:{n[0]}: {what}{likewise[len(n)]}" for what, n in problems.items()]
