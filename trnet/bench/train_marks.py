"""What the speed of training is to be: marks beside what was measured, and whole tables extrapolated from it."""

import math
from dataclasses import dataclass
from typing import Any

BATCH = 32


@dataclass(frozen=True)
class Table:
    """All runs of a table: how many, epochs of each, utterances that each trains on, and the minutes wanted."""

    title: str
    runs: int
    epochs: int
    utterances: int
    minutes: float

    @property
    def steps(self) -> int:
        """Of all runs."""
        return self.runs * self.epochs * math.ceil(self.utterances / BATCH)


NEMO = Table("nEMO, 162 runs x 80 epochs", 162, 80, 3076 * 7 // 9, 15)  # two of nine speakers are not trained on
IEMOCAP = Table("IEMOCAP's size, 180 runs x 80 epochs", 180, 80, 4425, 30)

ONE_RUN = {"bf16": 900.0, "float32": 300.0}  # steps a second
SEVERAL = 1800.0  # steps a second
WAIT = 0.02
TIMES_LOADER = 50.0
COMPILE_S = {"cold": 60.0, "warm": 10.0}  # of a shape; of all
TIMES_EAGER = 1.1


@dataclass(frozen=True)
class Mark:
    """What was measured, beside what it is to be; `more`: whether more is better; `floor`: the best there can be."""

    what: str
    measured: float
    mark: float
    form: str = ".0f"
    more: bool = True
    floor: str = ""

    @property
    def reached(self) -> bool:
        """Whether it is as good as it is to be."""
        return self.measured >= self.mark if self.more else self.measured <= self.mark

    def line(self) -> str:
        """A row of a table."""
        verdict = "reached" if self.reached else "open"
        return f"| {self.what} | {self.measured:{self.form}} | {self.mark:{self.form}} | {verdict} | {self.floor} |"


def marks_on_gpu(found: dict[str, Any]) -> list[Mark]:
    """The marks of what was measured on a GPU; see `trnet.bin.bench_train` for what `found` has."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in found["rows"]:
        rows.setdefault(row["key"], []).append(row)
    marks = []
    several = [row for key in ("threads", "processes") for row in rows.get(key, [])]
    for row in [*rows.get("engine", []), *rows.get("float32", [])]:
        precision = row["precision"]
        floor = floor_text(found["floors"].get(precision))
        marks.append(Mark(f"steps/s, one run, {precision}", row["steps_per_s"], ONE_RUN[precision], floor=floor))
    best = max([*several, *rows.get("engine", [])], key=lambda row: row["steps_per_s"], default=None)
    if several and best is not None:
        floor = floor_text(found["floors"].get(best["precision"]))
        what = f"steps/s, {best['runs']} runs at a time, {best['precision']}"
        marks.append(Mark(what, best["steps_per_s"], SEVERAL, floor=floor))
    for row in rows.get("engine", []):
        marks.append(Mark("waiting for data", row["wait"], WAIT, ".1%", more=False, floor="0.0%"))
        cache = row["cache"]
        marks.append(
            Mark(
                f"seconds of the first epoch beside an epoch, cache {cache}",
                row["first_s"],
                COMPILE_S[cache],
                more=False,
            )
        )
        floor = found["floors"].get(row["precision"])
        for other in rows.get("dataloader", []):
            text = "" if floor is None else f"{_at_best(floor) / other['steps_per_s']:,.0f}"
            times = row["steps_per_s"] / other["steps_per_s"]
            marks.append(Mark("times the DataLoader", times, TIMES_LOADER, floor=text))
    if best is not None:
        for table in (NEMO, IEMOCAP):
            minutes = table.steps / best["steps_per_s"] / 60
            what = f"minutes, {table.title}, at this rate of {found['frames']} frames"
            floor = found["floors"].get(best["precision"])
            text = "" if floor is None else f"{table.steps / _at_best(floor) / 60:.1f}"
            marks.append(Mark(what, minutes, table.minutes, ".1f", more=False, floor=text))
    return marks


def marks_on_cpu(found: dict[str, Any]) -> list[Mark]:
    """The mark of compiled training on a CPU, where that was measured."""
    times = [row["times_eager"] for row in found["rows"] if row["key"] == "compiled"]
    return [Mark("training.compile: true, times eager", times[0], TIMES_EAGER, ".2f")] if times else []


def _at_best(floor: dict[str, float]) -> float:
    """Steps a second that both floors allow."""
    return min(floor["steps_by_flop"], floor["steps_by_bytes"])


def floor_text(floor: dict[str, float] | None) -> str:
    """The steps a second that products of matrices and copies of memory allow."""
    if floor is None:
        return ""
    return f"{floor['steps_by_flop']:,.0f} by FLOPs, {floor['steps_by_bytes']:,.0f} by bytes"
