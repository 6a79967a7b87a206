"""How trnet-predict writes its answers: a table to read, JSON lines, CSV."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Protocol

from trnet.deploy.sliding_window import Answer, WindowAnswer
from trnet.utils.errors import printable

DIGITS = 6


class Format(Protocol):
    """Makes lines of answers."""

    def __init__(self, classes: Sequence[str], with_windows: bool, width: int) -> None: ...

    def head(self) -> Iterator[str]:
        """What comes before all answers."""

    def lines(self, answer: Answer) -> Iterator[str]:
        """What is said of one recording."""


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


class Table:
    """Columns to read: file, seconds, emotion, its probability, c, all probabilities."""

    def __init__(self, classes: Sequence[str], with_windows: bool, width: int) -> None:
        self.classes, self.with_windows, self.width = classes, with_windows, max(4, width)
        self.emotion = max(7, *map(len, classes))

    def head(self) -> Iterator[str]:
        """The names of the columns."""
        columns = " ".join(f"{name:>6}" for name in self.classes)
        yield printable(f"{'file':{self.width}} {'start':>8} {'end':>8} {'emotion':{self.emotion}} {'c':>5} {columns}")

    def lines(self, answer: Answer) -> Iterator[str]:
        """A line for the recording, then one for each window if they were asked for."""
        yield self._line(answer.name, 0.0, answer.seconds, answer)
        for window in answer.windows if self.with_windows else ():
            yield self._line("", window.start, window.end, window)

    def _line(self, name: str, start: float, end: float, said: Answer | WindowAnswer) -> str:
        c = "" if said.c is None else f"{said.c:.3f}"
        probs = said.probabilities or {}
        columns = " ".join(f"{probs[cls]:{max(6, len(cls))}.3f}" for cls in self.classes if probs)
        text = f"{name:{self.width}} {start:8.2f} {end:8.2f} {said.emotion or 'silent':{self.emotion}} {c:>5} {columns}"
        return printable(text).rstrip()


class JsonLines:
    """One JSON object a recording; ``windows`` is a list if they were asked for."""

    def __init__(self, classes: Sequence[str], with_windows: bool, width: int) -> None:
        self.with_windows = with_windows

    def head(self) -> Iterator[str]:
        """Nothing."""
        yield from ()

    def lines(self, answer: Answer) -> Iterator[str]:
        """The object."""
        said = {"file": answer.name, "seconds": _rounded(answer.seconds), **self._said(answer)}
        if self.with_windows:
            said["windows"] = [
                {"start": _rounded(w.start), "end": _rounded(w.end), **self._said(w)} for w in answer.windows
            ]
        yield json.dumps(said)

    @staticmethod
    def _said(said: Answer | WindowAnswer) -> dict[str, object]:
        probs = said.probabilities
        rounded = None if probs is None else {cls: _rounded(p) for cls, p in probs.items()}
        return {"emotion": said.emotion, "probabilities": rounded, "c": _rounded(said.c)}


class Csv:
    """A row a recording, or a row a window if they were asked for; a column of probability for each class."""

    def __init__(self, classes: Sequence[str], with_windows: bool, width: int) -> None:
        self.classes, self.with_windows = classes, with_windows

    def head(self) -> Iterator[str]:
        """The names of the columns."""
        yield self._row(["file", "start", "end", "emotion", "c", *self.classes])

    def lines(self, answer: Answer) -> Iterator[str]:
        """The rows; a silent window has no emotion."""
        if not self.with_windows:
            yield self._said(answer.name, 0.0, answer.seconds, answer)
        for window in answer.windows if self.with_windows else ():
            yield self._said(answer.name, window.start, window.end, window)

    def _said(self, name: str, start: float, end: float, said: Answer | WindowAnswer) -> str:
        probs = said.probabilities or {}
        values = [_rounded(start), _rounded(end), said.emotion, _rounded(said.c)]
        return self._row([name, *values, *(_rounded(probs.get(cls)) for cls in self.classes)])

    @staticmethod
    def _row(values: list[object]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow(values)  # both are quoted where a name holds them
        return text.getvalue().removesuffix("\r\n")


FORMATS: dict[str, type[Format]] = {"table": Table, "jsonl": JsonLines, "csv": Csv}
