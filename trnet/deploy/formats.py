"""How trnet-predict writes predictions: a table to read, JSON lines, CSV."""

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from trnet.deploy.sliding_window import Prediction, WindowPrediction
from trnet.utils.errors import printable

DIGITS = 6


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


class Format(ABC):
    """Makes lines of predictions."""

    def __init__(self, classes: Sequence[str], with_windows: bool, width: int) -> None:
        """`with_windows`: list the windows of each recording, too; `width`: of the longest name, for a table."""
        self.classes, self.with_windows, self.width = classes, with_windows, max(4, width)

    def header(self) -> Iterator[str]:
        """The lines before all predictions."""
        yield from ()

    @abstractmethod
    def lines(self, prediction: Prediction) -> Iterator[str]:
        """The lines of one recording."""


class TableFormat(Format):
    """Columns to read: file, seconds, emotion, its probability, c, all probabilities."""

    _begun = False

    def lines(self, prediction: Prediction) -> Iterator[str]:
        """The names of the columns before the first recording; a line for it, and one for each window."""
        if not self._begun:
            self._begun = True
            yield self._columns()
        yield self._line(prediction.name, 0.0, prediction.seconds, prediction)
        for window in prediction.windows if self.with_windows else ():
            yield self._line("", window.start, window.end, window)

    def _columns(self) -> str:
        columns = " ".join(f"{name:>6}" for name in self.classes)
        return printable(f"{'file':{self.width}} {'start':>8} {'end':>8} {'emotion':{self._widest}} {'c':>5} {columns}")

    @property
    def _widest(self) -> int:
        return max(7, *map(len, self.classes))

    def _line(self, name: str, start: float, end: float, found: Prediction | WindowPrediction) -> str:
        c = "" if found.c is None else f"{found.c:.3f}"
        probs = found.probabilities or {}
        columns = " ".join(f"{probs[cls]:{max(6, len(cls))}.3f}" for cls in self.classes if probs)
        emotion = f"{found.emotion or 'silent':{self._widest}}"
        text = f"{name:{self.width}} {start:8.2f} {end:8.2f} {emotion} {c:>5} {columns}"
        return printable(text).rstrip()


class JsonLinesFormat(Format):
    """One JSON object a recording, with the list ``windows`` in it."""

    def lines(self, prediction: Prediction) -> Iterator[str]:
        """The object."""
        found = {"file": prediction.name, "seconds": _rounded(prediction.seconds), **self._object(prediction)}
        if self.with_windows:
            found["windows"] = [
                {"start": _rounded(window.start), "end": _rounded(window.end), **self._object(window)}
                for window in prediction.windows
            ]
        yield json.dumps(found)

    @staticmethod
    def _object(found: Prediction | WindowPrediction) -> dict[str, object]:
        probs = found.probabilities
        rounded = None if probs is None else {cls: _rounded(p) for cls, p in probs.items()}
        return {"emotion": found.emotion, "probabilities": rounded, "c": _rounded(found.c)}


class CsvFormat(Format):
    """A row a recording, or a row a window; a column of probability for each class; a silent window has no emotion."""

    def header(self) -> Iterator[str]:
        """The names of the columns."""
        yield self._row("file", "start", "end", "emotion", "c", *self.classes)

    def lines(self, prediction: Prediction) -> Iterator[str]:
        """The rows."""
        if not self.with_windows:
            yield self._prediction(prediction.name, 0.0, prediction.seconds, prediction)
        for window in prediction.windows if self.with_windows else ():
            yield self._prediction(prediction.name, window.start, window.end, window)

    def _prediction(self, name: str, start: float, end: float, found: Prediction | WindowPrediction) -> str:
        probs = [_rounded((found.probabilities or {}).get(cls)) for cls in self.classes]
        return self._row(name, _rounded(start), _rounded(end), found.emotion, _rounded(found.c), *probs)

    @staticmethod
    def _row(*values: object) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow(values)  # quotes both where a name holds them
        return text.getvalue().removesuffix("\r\n")


FORMATS: dict[str, type[Format]] = {"table": TableFormat, "jsonl": JsonLinesFormat, "csv": CsvFormat}
