"""What a session on a GPU found, in at most 8 files: a page, the numbers, the logs' ends, and archives."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trnet.bench.nemo_table import run_folders
from trnet.bench.packing import pack, pack_parts, tail
from trnet.utils.files import write_text

PAGE, NUMBERS, LOGS = "BENCH.md", "bench.json", "logs.txt"
RESULTS, RUNS, PREDICTIONS = "results.tar.gz", "runs.tar.gz", "predictions"
PARTS = 3  # archives of predictions
LOG_TAIL = 200_000  # bytes of each log
OVERWRITTEN = re.compile(r"[^\n\r]*\r(?!\n)")
PER_RUN = ("history.csv", "run.json", "train.log")
NEMO_RUNS, NEMO_EPOCHS = 162, 80  # of the paper's table: 6 systems, 9 folds, 3 seeds
PAGES = {
    "train_256": "Training, 256 frames",
    "train_500": "Training, 500 frames",
    "train_processes": "Training, several processes",
    "cmgan": "CMGAN",
}


@dataclass(frozen=True)
class Findings:
    """Where the work lies, the state of its steps, all numbers, and the seconds since the beginning."""

    work: Path
    steps: dict[str, dict[str, Any]]
    numbers: dict[str, Any]
    seconds: float

    @property
    def exp(self) -> Path:
        """Folder of nEMO's runs."""
        return self.work / "egs/nemo/ser1/exp"

    @property
    def reports(self) -> list[Path]:
        """The folder of each report of nEMO's runs."""
        return sorted({path.parent for path in self.exp.glob("*/RESULTS*.md")})


def write_findings(out: Path, findings: Findings, archives: bool = True) -> None:
    """Write the files into `out`; `archives`: those of results, runs and predictions, too."""
    numbers = {"steps": findings.steps, "seconds": round(findings.seconds, 1)} | findings.numbers
    left: list[str] = []
    if archives:
        left += [name for _, name in pack(out / RESULTS, _results(findings))]
        left += [name for _, name in pack(out / RUNS, _of_runs(findings, PER_RUN))]
        left += pack_parts(out / PREDICTIONS, _of_runs(findings, ("predictions.csv",)), PARTS)
    write_text(out / NUMBERS, json.dumps(numbers, indent=1) + "\n")
    write_text(out / LOGS, _logs(findings.work / "logs"))
    write_text(out / PAGE, _page(findings, numbers, left))


def _results(findings: Findings) -> Iterator[tuple[Path, str]]:
    """Files of the reports, the large page last; predictions have archives of their own."""
    found = [file for folder in findings.reports for file in sorted(folder.glob("*")) if file.is_file()]
    found = [file for file in found if not file.name.startswith("predictions") and file.suffix != ".zip"]
    figures = [file for folder in findings.reports for file in sorted(folder.glob("figures*/*")) if file.is_file()]
    for file in sorted([*found, *figures], key=lambda file: file.suffix == ".html"):
        yield file, str(file.relative_to(findings.exp))


def _of_runs(findings: Findings, names: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Files of all runs, by seed."""
    for _, folder in sorted(run_folders(findings.exp).items(), key=lambda run: (run[0][2], run[0])):
        for file in map(folder.joinpath, names):
            if file.is_file():
                yield file, str(file.relative_to(findings.exp))


def _logs(folder: Path) -> str:
    """The end of each log, of progress bars what they were last."""
    ends = {path.name: OVERWRITTEN.sub("", tail(path, LOG_TAIL)) for path in sorted(folder.glob("*.log"))}
    return "".join(f"===== {name}\n{text}\n" for name, text in ends.items())


def _page(findings: Findings, numbers: dict[str, Any], left: list[str]) -> str:
    """All tables."""
    lines = ["# A session on a GPU", "", ", ".join(f"{k}: {v}" for k, v in numbers.get("machine", {}).items()), ""]
    lines += ["| step | state | seconds |", "|---|---|--:|"]
    for name, step in findings.steps.items():
        lines.append(f"| {name} | {step['state'].replace('|', '/')} | {step['seconds']:.0f} |")
    lines += ["", f"{findings.seconds:.0f} s so far in this call.", ""]
    lines += _tests(numbers.get("tests", {}))
    for name, title in PAGES.items():
        if (page := findings.work / f"{name}.md").is_file():
            lines += [f"## {title}", "", page.read_text(encoding="utf-8"), ""]
    lines += _nemo(numbers.get("nemo_runs", {}), numbers.get("nemo_times", []))
    for folder in findings.reports:
        for path in sorted(folder.glob("RESULTS*.md")):
            lines += [f"## {path.relative_to(findings.exp)}", "", path.read_text(encoding="utf-8"), ""]
    if left:
        lines += ["Too large for the archives: " + " ".join(left[:20]), ""]
    return "\n".join(lines)


def _tests(found: dict[str, Any]) -> list[str]:
    if not found:
        return []
    bad = found["failed"]
    lines = ["## Tests", "", f"{found['passed']} passed, {len(bad)} failed, {found['skipped']} skipped", ""]
    return lines + [f"- `{name}`: {message.splitlines()[0] if message else ''}" for name, message in bad.items()] + [""]


def _nemo(found: dict[str, Any], times: list[dict[str, Any]]) -> list[str]:
    """Runs by system, the seconds of the stages, and what the paper's 80 epochs would take at this speed."""
    if not found:
        return []
    lines = ["## nEMO, the steady settings", "", "| system | runs finished | begun | mean best validation UAR |"]
    lines += ["|---|--:|--:|--:|"]
    for name, row in found["systems"].items():
        best = "" if row["valid_uar"] is None else f"{row['valid_uar']:.2f}"
        lines.append(f"| {name} | {row['finished']} | {row['begun']} | {best} |")
    lines += ["", "| stages | options | seconds | ended |", "|---|---|--:|---|"]
    for row in times:
        ended = {0: "well", None: "stopped"}.get(row["status"], f"with {row['status']}")
        first, last = row["stages"]
        lines.append(f"| {first} to {last} | {' '.join(row['options'])} | {row['seconds']:.0f} | {ended} |")
    training = sum(row["seconds"] for row in times if row["stages"][0] == 5)
    scoring = sum(row["seconds"] for row in times if row["stages"][0] == 7)
    lines += [
        "",
        f"Training took {training:.0f} s and scoring {scoring:.0f} s: the mark for both is 240 s for all runs.",
    ]
    if training and found["epochs"]:
        minutes = training / found["epochs"] * NEMO_RUNS * NEMO_EPOCHS / 60
        lines.append(
            f"{found['finished']} whole runs, {found['epochs']} epochs in all: {NEMO_RUNS} runs of {NEMO_EPOCHS} "
            f"epochs take {minutes:.1f} min at this rate, loading and validation included (mark 15)."
        )
    return [*lines, ""]
