"""Which runs of a table are finished, and the largest part of the table that can be scored."""

import csv
import itertools
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN = re.compile(r"fold([0-9]+)_seed([0-9]+)")
SYSTEMS = ("baseline_c", "baseline_n", "baseline_e", "trnet", "trnet_wo_low", "trnet_wo_high")

Run = tuple[str, int, int]
"""System, fold, seed."""


@dataclass(frozen=True)
class Part:
    """Systems, folds and seeds all of whose runs are finished."""

    systems: tuple[str, ...] = ()
    folds: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.systems) * len(self.folds) * len(self.seeds)


def run_folders(exp: Path) -> dict[Run, Path]:
    """The folders of runs below a folder ``exp``, finished or not; links are not followed."""
    found = {}
    for path in sorted(exp.glob("*/*/fold*_seed*")):
        match = RUN.fullmatch(path.name)
        if match and path.is_dir() and not path.parent.is_symlink():
            found[path.parent.name, int(match[1]), int(match[2])] = path
    return found


def is_finished(folder: Path) -> bool:
    """Whether a run was trained to its end."""
    try:
        stamp = json.loads((folder / ".train.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(stamp, dict) and stamp.get("state") == "done" and (folder / "best.pt").is_file()


def history_of(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's history.csv; none where there is none."""
    try:
        with open(folder / "history.csv", newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except OSError:
        return []


def largest_part(finished: Collection[Run], systems: Sequence[str], folds: Sequence[int], seeds: Sequence[int]) -> Part:
    """The largest complete part: all systems on some folds with some seeds, more folds before more seeds.

    Where no fold has all systems, the systems of the fold and seed that have most of them.
    """
    done, best = set(finished), Part()
    for count in range(1, len(seeds) + 1):
        for some in itertools.combinations(seeds, count):
            whole = [fold for fold in folds if all((name, fold, seed) in done for name in systems for seed in some)]
            part = Part(tuple(systems), tuple(whole), some)
            if len(part) > len(best):
                best = part
    if len(best):
        return best
    for fold, seed in itertools.product(folds, seeds):
        part = Part(tuple(name for name in systems if (name, fold, seed) in done), (fold,), (seed,))
        if len(part) > len(best):
            best = part
    return best


def summarise(exp: Path, systems: Sequence[str]) -> dict[str, Any]:
    """How many runs of each system are finished, their mean best validation UAR, and the epochs trained in all."""
    folders = run_folders(exp)
    rows, epochs = {}, 0
    for name in systems:
        mine = [folder for (system, _, _), folder in folders.items() if system == name]
        best = []
        for folder in mine:
            history = history_of(folder)
            epochs += len(history)
            uars = [float(row["valid_uar"]) for row in history if row.get("valid_uar")]
            if uars and is_finished(folder):
                best.append(max(uars))
        rows[name] = {"begun": len(mine), "finished": len(best), "valid_uar": sum(best) / len(best) if best else None}
    return {"systems": rows, "epochs": epochs, "finished": sum(row["finished"] for row in rows.values())}
