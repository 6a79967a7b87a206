"""All that is to be measured on a GPU that is at hand for minutes, within a budget of seconds.

The steps: the tests marked ``gpu``, the training benchmark, the one of CMGAN, and nEMO's table of the steady settings,
as far as there is time. Each has a share of what is left, is stopped at its end, and does not stop the others if it
fails. What was found is written to a folder of at most 8 files after each step. A work folder keeps what is done.

Needs nothing but the standard library: the steps are processes of their own.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from trnet.bench.limited import Command, Ended, run_together
from trnet.bench.nemo_table import SYSTEMS, Part, is_finished, largest_part, run_folders, summarise
from trnet.bench.session_report import Findings, write_findings
from trnet.utils.files import write_text

ROOT = Path(__file__).parents[2]
STEPS = ("tests", "train", "cmgan", "nemo")
SHARES = {"tests": 15.0, "train": 25.0, "cmgan": 15.0, "nemo": 45.0}
END_S = 20.0  # of the budget, to write what was found
RECIPE = "nemo/ser1"
PAPER = "egs/TEMPLATE/ser1/conf/paper.yaml"
BF16_256 = ("--precision", "bf16", "--seconds", "2.575")  # as long as nEMO's utterances are
TRAIN = {  # the options of each call, and its share of the step's time
    "train_256": ((*BF16_256, "--rows", "bare dataloader engine float32 threads"), 4),
    "train_500": (("--precision", "bf16", "--seconds", "5.015", "--rows", "engine threads"), 2),  # as long as any
    "train_processes": ((*BF16_256, "--rows", "processes", "--runs", "4"), 1),
}
CMGAN = ("--frontends", "cmgan")


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    budget_s: float
    out: Path
    work: Path
    steps: Sequence[str] = STEPS
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))
    again: bool = False  # steps that an earlier call finished, too
    ngpu: int = 1
    nj: int = 1  # processes of stages 1 to 4
    runs: int = 8  # trained at a time
    tests: Sequence[str] = ()  # files, instead of all that have tests for a GPU
    train_options: str = ""  # more of bench_train
    cmgan_options: str = ""  # of bench_frontend, instead of `CMGAN`
    recipe_options: str = ""  # more of the recipe
    corpora: dict[str, str] = field(default_factory=dict)  # the recipe's options that name data and weights
    systems: Sequence[str] = SYSTEMS
    folds: Sequence[int] = tuple(range(1, 10))
    seeds: Sequence[int] = (1, 2, 3)
    seeds_a_call: int = 1  # seeds that the recipe trains in one call
    score_s: float = 75.0  # kept for scoring
    commit: str = ""  # where there is no checkout to ask


class GpuSession:
    """A plan being carried out."""

    def __init__(self, plan: Plan, began: float | None = None) -> None:
        """`began`: of `time.monotonic`, when the budget began to run."""
        self.plan = plan
        self.began = time.monotonic() if began is None else began
        self.deadline = self.began + plan.budget_s - min(END_S, 0.1 * plan.budget_s)
        self.site, self.logs, self._record = plan.work / "site", plan.work / "logs", plan.work / "steps.json"
        self.steps: dict[str, dict[str, Any]] = {}
        if self._record.is_file():
            self.steps = json.loads(self._record.read_text(encoding="utf-8"))
        self.found: dict[str, Any] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Of the steps' processes."""
        path = [str(self.site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        more = {"PYTHONPATH": os.pathsep.join(path), "PYTHON": sys.executable, "PYTHONUNBUFFERED": "1"}
        more["TRNET_DEBUG"] = "1"  # tracebacks in the logs: the machine may be gone tomorrow
        if self.plan.commit:
            more["TRNET_COMMIT"] = self.plan.commit
        return os.environ | more

    def run(self) -> bool:
        """Do the steps; whether all that was asked for is done. What was found is written, whatever ends this."""
        try:
            self._note_machine()
            self._do_steps()
        finally:
            self.write()
        return all(self.steps.get(name, {}).get("state") == "done" for name in self.plan.steps)

    def _do_steps(self) -> None:
        for number, name in enumerate(self.plan.steps):
            if self.steps.get(name, {}).get("state") == "done" and not self.plan.again:
                self._say(f"{name}: done by an earlier call")
                continue
            waiting = self.plan.steps[number:]
            share = self.plan.shares[name] / sum(self.plan.shares[each] for each in waiting)
            limit = share * (self.deadline - time.monotonic())
            if limit <= 0:
                self._say(f"{name}: no time is left")
                continue
            self._say(f"{name}: {limit:.0f} s at most")
            began = time.monotonic()
            try:
                state = getattr(self, f"_{name}")(began + limit)
            except Exception as error:  # the other steps, and what was found, must not suffer
                state = f"failed: {type(error).__name__}: {error}"
            self._note(name, state, time.monotonic() - began)
            self.write()

    def write(self, whole: bool = True) -> None:
        """Bring the folder of results up to date; `whole`: its archives, too."""
        try:
            findings = Findings(self.plan.work, self.steps, self._gather(), time.monotonic() - self.began)
            write_findings(self.plan.out, findings, archives=whole)
        except Exception as error:  # what is being measured must not suffer
            self._say(f"{self.plan.out}: {type(error).__name__}: {error}")

    def _tick(self) -> None:
        self.write(whole=False)

    def _note(self, name: str, state: str, seconds: float) -> None:
        self.steps[name] = {"state": state, "seconds": round(seconds, 1)}
        write_text(self._record, json.dumps(self.steps, indent=1) + "\n")
        self._say(f"{name}: {state} after {seconds:.0f} s")

    def _say(self, line: str) -> None:
        print(f"[{time.monotonic() - self.began:4.0f} s] {line}", flush=True)

    def _note_machine(self) -> None:
        about = {"budget_s": self.plan.budget_s, "python": sys.version.split()[0], "cores": os.cpu_count()}
        if tool := shutil.which("nvidia-smi"):
            query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
            with contextlib.suppress(OSError, subprocess.SubprocessError):  # what is measured does not depend on it
                about["gpu"] = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip()
        self.found["machine"] = about | ({"commit": self.plan.commit} if self.plan.commit else {})

    def _gather(self) -> dict[str, Any]:
        """All numbers so far."""
        found = dict(self.found)
        for path in sorted(self.plan.work.glob("*.json")):
            if path != self._record:
                found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        exp = self.plan.work / "egs" / RECIPE / "exp"
        if exp.is_dir():
            found["nemo_runs"] = summarise(exp, self.plan.systems)
        return found

    def _run(self, log: str, words: Sequence[str], until: float, folder: Path = ROOT) -> Ended:
        """One command, and a line on how it ended."""
        command = Command(words, folder, self.environment, self.logs / f"{log}.log")
        (ended,) = run_together([command], until - time.monotonic(), self._tick)
        self._say(f"  {log}: {describe(ended)}")
        return ended

    def _module(self, name: str, *options: str) -> list[str]:
        return [sys.executable, "-m", f"trnet.bin.{name}", *options, "--ngpu", str(self.plan.ngpu)]

    def _tests(self, until: float) -> str:
        """The tests marked ``gpu``; beside them stages 0 to 2, which need no GPU, where nEMO is wanted."""
        files = list(self.plan.tests) or [str(path) for path in gpu_tests(ROOT / "test")]
        if not files:
            return "done"
        report = self.plan.work / "tests.xml"
        words = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "-vv", "-rfE", "--tb=short"]
        words += [f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml")]
        report.unlink(missing_ok=True)
        words += ["--durations=10", "--continue-on-collection-errors", f"--junitxml={report}", *files]
        commands = [Command(words, ROOT, self.environment, self.logs / "tests.log")]
        if "nemo" in self.plan.steps and self.steps.get("prepare", {}).get("state") != "done":
            commands.append(self._stages("prepare", 0, 2, "--nj", str(self.plan.nj)))
        try:
            ended = run_together(commands, until - time.monotonic(), self._tick)
        finally:
            if found := read_junit(report):  # otherwise that of an earlier call stays
                write_text(self.plan.work / "tests.json", json.dumps(found, indent=1))
        if len(ended) > 1:
            self._note("prepare", state_of(ended[1]), ended[1].seconds)
        return state_of(ended[0])

    def _train(self, until: float) -> str:
        states, waiting = [], sum(share for _, share in TRAIN.values())
        for name, (options, share) in TRAIN.items():
            now = time.monotonic()
            limit, waiting = now + (until - now) * share / waiting, waiting - share
            if self.steps.get(name, {}).get("state") == "done" and not self.plan.again:
                continue
            outputs = ["--json", str(self.plan.work / f"{name}.json")]
            outputs += ["--markdown", str(self.plan.work / f"{name}.md")]
            words = self._module("bench_train", "--config", str(ROOT / PAPER), *options, *outputs)
            ended = self._run(name, [*words, *shlex.split(self.plan.train_options)], limit)
            states.append(state_of(ended))
            self._note(name, states[-1], ended.seconds)
        return worst(states)

    def _cmgan(self, until: float) -> str:
        options = shlex.split(self.plan.cmgan_options) or CMGAN
        outputs = ["--json", str(self.plan.work / "cmgan.json"), "--markdown", str(self.plan.work / "cmgan.md")]
        return state_of(self._run("cmgan", self._module("bench_frontend", *options, *outputs), until))

    def _stages(self, log: str, first: int, last: int, *options: str) -> Command:
        """Stages of the recipe, in a copy of it in the work folder."""
        recipes = self.plan.work / "egs"
        ignore = shutil.ignore_patterns("downloads", "data*", "dump*", "exp*", "figures*", "__pycache__")
        for name in ("TEMPLATE", RECIPE.partition("/")[0]):
            shutil.copytree(ROOT / "egs" / name, recipes / name, ignore=ignore, dirs_exist_ok=True)
        words = ["bash", str(recipes / RECIPE / "run.sh"), "--config", "conf/steady.yaml"]
        words += ["--stage", str(first), "--stop-stage", str(last), "--ngpu", str(self.plan.ngpu)]
        for option, value in self.plan.corpora.items():
            words += [option, value]
        words += [*shlex.split(self.plan.recipe_options), *options]
        return Command(words, recipes / RECIPE, self.environment, self.logs / f"{log}.log")

    def _stage(self, log: str, first: int, last: int, until: float, *options: str) -> Ended:
        command = self._stages(log, first, last, *options)
        (ended,) = run_together([command], until - time.monotonic(), self._tick)
        self._say(f"  nemo, stages {first} to {last}: {describe(ended)}")
        times = self.plan.work / "nemo_times.json"
        known = json.loads(times.read_text(encoding="utf-8")) if times.is_file() else []
        known.append({"log": log, "stages": [first, last], "options": list(options), **asdict(ended)})
        write_text(times, json.dumps(known, indent=1))
        return ended

    def _nemo(self, until: float) -> str:
        """The recipe: features, then the runs, and in the time that is kept for it the scores of what is finished."""
        first = 3 if self.steps.get("prepare", {}).get("state") == "done" else 0
        ended = self._stage("nemo_features", first, 4, until, "--nj", str(self.plan.nj))
        states = [state_of(ended)]
        if states != ["done"]:
            return states[0]
        systems = ("--systems", " ".join(self.plan.systems), "--nj", str(self.plan.runs))
        folds = ("--folds", " ".join(map(str, self.plan.folds)))
        for start in range(0, len(self.plan.seeds), self.plan.seeds_a_call):
            seeds = " ".join(map(str, self.plan.seeds[start : start + self.plan.seeds_a_call]))
            left = until - self.plan.score_s
            if time.monotonic() >= left:
                states.append("stopped at its limit")
                break
            states.append(state_of(self._stage("nemo_train", 5, 6, left, *systems, *folds, "--seeds", seeds)))
            self.write()
        part = self.finished_part()
        if not len(part):
            return worst([*states, "failed: no run is finished"])
        options = ["--systems", " ".join(part.systems), "--folds", " ".join(map(str, part.folds))]
        options += ["--seeds", " ".join(map(str, part.seeds)), "--nj", str(self.plan.runs)]
        states.append(state_of(self._stage("nemo_score", 7, 7, until, *options)))
        return worst(states)

    def finished_part(self) -> Part:
        """What can be scored."""
        folders = run_folders(self.plan.work / "egs" / RECIPE / "exp")
        finished = [run for run, folder in folders.items() if is_finished(folder)]
        return largest_part(finished, self.plan.systems, self.plan.folds, self.plan.seeds)


def describe(ended: Ended) -> str:
    """A line on how a command ended."""
    return f"{state_of(ended)} after {ended.seconds:.0f} s"


def state_of(ended: Ended) -> str:
    """done, failed or stopped."""
    if ended.status is None:
        return "stopped at its limit"
    return f"failed with status {ended.status}" if ended.status else "done"


def worst(states: Sequence[str]) -> str:
    """The first state that is not done."""
    return next((state for state in states if state != "done"), "done")


def gpu_tests(folder: Path) -> list[Path]:
    """Files with tests that need a GPU."""
    marked = re.compile(r"^[^#\n]*\bmark\.gpu\b", re.MULTILINE)
    return [path for path in sorted(folder.rglob("test_*.py")) if marked.search(path.read_text(encoding="utf-8"))]


def read_junit(path: Path) -> dict[str, Any]:
    """Counts of tests, and what failed, from pytest's JUnit file; empty where there is none."""
    if not path.is_file():
        return {}
    cases = list(ElementTree.parse(path).iter("testcase"))
    bad = {}
    for case in cases:
        for problem in [*case.findall("failure"), *case.findall("error")]:
            bad[f"{case.get('classname')}::{case.get('name')}"] = (problem.get("message") or "")[:500]
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {"tests": len(cases), "passed": len(cases) - skipped - len(bad), "skipped": skipped, "failed": bad}
