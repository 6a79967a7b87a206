"""The training loop of SER systems and of front-ends: epochs, steps, validation, checkpoints, resuming, logging.

What differs between the two is a `TrainingJob`. Several runs may share one trajectory of weights, each choosing its own
epoch: folds that hold out the same speakers (the two of an IEMOCAP session) train on the same utterances.
"""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from trnet.runs.checkpoint import save_checkpoint
from trnet.runs.folder import RunFolder
from trnet.runs.history import History, Rule
from trnet.runs.record import run_log
from trnet.train.experiment_logger import ExperimentLogger
from trnet.utils.errors import TrnetError
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.threads import stop_if_asked

log = logging.getLogger(__name__)

BAR = "{desc}: {percentage:3.0f}%|{bar}| epoch {n:.1f}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
LOOK_EVERY = {"cpu": 1, "cuda": 50}  # steps between two looks at the losses, for which a GPU has to stop


@dataclass(frozen=True)
class Step:
    """A batch on its way to the optimizer."""

    batch: Any  # what `TrainingJob.step` takes
    names: Callable[[], Sequence[str]]  # of what is in it, for messages
    weight: float  # of its losses in the means of the epoch
    amount: float  # for the speed in the progress bar, in the job's `unit`


class Progress:
    """One run within a training: its history, and where it is kept."""

    def __init__(self, key: Any, title: str, folder: RunFolder, rule: Rule, device: torch.device) -> None:
        """`key`: what the job knows the run by."""
        self.key, self.title, self.folder, self.rule = key, title, folder, rule
        self.history: History = []
        self.trained_with = [f"{commit()} on {machine(device)}"]
        self.logger: ExperimentLogger | None = None
        self.log = logging.getLogger("trnet.runs.log")
        self.waiting: tuple[int, dict[str, Any]] | None = None  # best epoch and its weights that are not written yet
        self.written = -math.inf  # when files were written last

    @property
    def best_epoch(self) -> int:
        """The epoch chosen so far."""
        return self.rule.best(self.history)

    def finished(self) -> bool:
        """Whether all its epochs are done."""
        return self.rule.is_finished(self.history)

    def resume(self) -> dict[str, Any] | None:
        """Take up the last epoch's state and return it, if there is one."""
        self.history, self.waiting = [], None
        if not self.folder.last.exists():
            return None
        state = self.folder.read_last()
        self.history = state["history"]
        self.trained_with = list(dict.fromkeys([*state["trained_with"], *self.trained_with]))
        return state


Steps = Generator[Step, None, None]


class TrainingJob(ABC):
    """What one kind of training does in the loop."""

    title: str  # for messages and the progress bar
    device: torch.device  # where it computes
    unit: str  # what the speed in the progress bar is counted in

    @abstractmethod
    def begin(self) -> None:
        """Build everything anew, seeded: network, losses, optimizer."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What ``last.pt`` keeps to resume from."""

    @abstractmethod
    def load(self, state: dict[str, Any], path: Path) -> None:
        """Take up what `state` gave.

        Raises:
            TrnetError: Naming `path` if it is of another network, or damaged.
        """

    @abstractmethod
    def check(self, run: Progress, state: dict[str, Any]) -> None:
        """Make sure that what a run keeps is whole and of this network.

        Raises:
            TrnetError: If it is not.
        """

    @abstractmethod
    def steps(self, epoch: int, history: History) -> tuple[int, Steps]:
        """How many steps the epoch after `history` has, and these; seeds, and puts networks into training mode."""

    @abstractmethod
    def step(self, batch: Any) -> dict[str, Tensor]:
        """One step of the optimizers: scalar losses by name; ``loss`` is the whole. TrnetError if one is not finite."""

    @abstractmethod
    def row(self, means: dict[str, float]) -> dict[str, Any]:
        """The columns of the history from the means of an epoch's losses, with the learning rate."""

    @abstractmethod
    def validate(self, run: Progress, epoch: int) -> dict[str, float | None]:
        """The columns of the history that validation gives."""

    save_every = 0.0  # seconds between two epochs that are kept on disk; the last epoch of a run always is

    @abstractmethod
    def best(self) -> dict[str, Any]:
        """The weights of this epoch as they are kept if it is chosen; a later step does not change them."""

    @abstractmethod
    def save_best(self, path: Path, weights: dict[str, Any], about: dict[str, Any]) -> None:
        """Write the file of the chosen epoch, what `best` gave, with where it comes from."""

    @abstractmethod
    def about(self, run: Progress) -> dict[str, Any]:
        """What checkpoints say of a run beside its state."""

    @abstractmethod
    def describe(self, row: dict[str, Any]) -> str:
        """The validation score of an epoch, for a message."""

    def make_room(self) -> str | None:
        """Free memory on the device after an out-of-memory error; what was freed, None if nothing can be."""
        return None


class LossMeans:
    """Means of the losses of an epoch, read from the device every few steps."""

    def __init__(self, title: str, device: torch.device) -> None:
        self.title, self.every = title, LOOK_EVERY.get(device.type, 1)
        self.sums: dict[str, float] = {}
        self.weight = self.amount = 0.0
        self._waiting: list[tuple[Step, dict[str, Tensor]]] = []

    def add(self, step: Step, losses: dict[str, Tensor]) -> bool:
        """Take up the losses of a step; True if all so far are in `sums`.

        Raises:
            TrnetError: If a loss is not finite.
        """
        self._waiting.append((step, losses))
        if len(self._waiting) < self.every:
            return False
        self.look()
        return True

    def look(self) -> None:
        """Take what is waiting into `sums`; raises as `add` does."""
        if not self._waiting:
            return
        flat = torch.stack([value for _, losses in self._waiting for value in losses.values()])  # in one go
        values = flat.view(len(self._waiting), -1).tolist()
        for (step, losses), row in zip(self._waiting, values, strict=True):
            found = dict(zip(losses, row, strict=True))
            if not math.isfinite(found["loss"]):
                there = step.names()
                names = " ".join(there[:8]) + (" ..." if len(there) > 8 else "")
                raise TrnetError(f"{self.title}: loss is not finite on {names}; lower training.lr")
            for name, value in found.items():
                self.sums[name] = self.sums.get(name, 0.0) + value * step.weight
            self.weight += step.weight
            self.amount += step.amount
        self._waiting = []

    def means(self) -> dict[str, float]:
        """Mean of each loss."""
        self.look()
        return {name: value / self.weight for name, value in self.sums.items()}


class Trainer:
    """Trains the runs of a job on one trajectory of weights, each resuming an earlier call's last epoch."""

    def __init__(self, job: TrainingJob, runs: Sequence[Progress], wandb: str | None = None) -> None:
        """`wandb`: project of Weights & Biases that gets the curves, too."""
        self.job, self.runs, self.wandb, self.epoch = job, list(runs), wandb, 0

    def train(self, position: int | None = None) -> None:
        """Train until every run has its end; `position`: line of the progress bar.

        Raises:
            TrnetError: For a damaged checkpoint, a loss that is not finite, or too little memory.
        """
        self.begin()
        total = max(run.rule.max_epochs for run in self.runs)
        with ExitStack() as stack:
            bar = stack.enter_context(tqdm(total=total, desc=self.job.title, bar_format=BAR, position=position))
            for run in self.runs:
                logger = ExperimentLogger(run.folder.path, len(run.history), run.title, self.wandb)
                run.logger = stack.enter_context(logger)
                run.log = stack.enter_context(run_log(run.folder.path))
                run.log.info("%s: from epoch %d on", run.title, self.epoch + 1)
            bar.update(self.epoch)
            while waiting := [run for run in self.runs if not run.finished()]:
                try:
                    self._finish_epoch(self.train_epoch(bar), waiting)
                    continue
                except torch.OutOfMemoryError:
                    pass
                self._make_room()  # here, where the exception no longer holds the tensors of the step that failed
            for run in self.runs:
                best = run.history[run.best_epoch - 1]
                text = f"best epoch {best['epoch']} of {len(run.history)}, {self.job.describe(best)}"
                run.log.info(text)
                log.info("%s: %s", run.title, text)

    def begin(self) -> None:
        """From the start, or from the last epoch that every run which is not finished has."""
        self.job.begin()
        self.epoch = 0
        states = [run.resume() for run in self.runs]
        for run, state in zip(self.runs, states, strict=True):
            if state is not None:
                self.job.check(run, state)
        waiting = [pair for pair in zip(self.runs, states, strict=True) if not pair[0].finished()]
        if waiting:
            behind, state = min(waiting, key=lambda pair: len(pair[0].history))
            if state is not None:
                self.job.load(state, behind.folder.last)
                self.epoch = len(behind.history)

    def train_epoch(self, bar: tqdm) -> dict[str, Any]:
        """One epoch; its row of the history but for validation."""
        epoch = self.epoch + 1
        history = max((run.history for run in self.runs), key=len)[: self.epoch]
        count, steps = self.job.steps(epoch, history)
        means, started = LossMeans(self.job.title, self.job.device), time.monotonic()
        with closing(steps):  # whatever ends the epoch: it may hold a lock
            self._take(epoch, count, steps, means, started, bar)
        return {"epoch": epoch} | self.job.row(means.means())

    def _take(self, epoch: int, count: int, steps: Steps, means: LossMeans, started: float, bar: tqdm) -> None:
        """The steps of an epoch."""
        for done, step in enumerate(steps, 1):
            stop_if_asked()
            if means.add(step, self.job.step(step.batch)):
                speed = means.amount / (time.monotonic() - started)
                loss = means.sums["loss"] / means.weight
                bar.set_postfix_str(f"loss {loss:.4f}, {speed:.4g} {self.job.unit}/s", refresh=False)
            bar.n = epoch - 1 + done / count
            bar.update(0)

    def _finish_epoch(self, row: dict[str, Any], waiting: Sequence[Progress]) -> None:
        """Validate and save each run that does not have this epoch yet."""
        for run in waiting:
            if len(run.history) >= row["epoch"]:
                continue  # it was ahead when the trajectory was taken up
            run.history.append(row | self.job.validate(run, row["epoch"]))
            self._save(run)
        self.epoch = row["epoch"]

    def _save(self, run: Progress) -> None:
        row = run.history[-1]
        if run.best_epoch == len(run.history):
            run.waiting = row["epoch"], self.job.best()
        if run.finished() or time.monotonic() - run.written >= self.job.save_every:
            self._write(run)
        cells = (f"{key} {value:.6g}" for key, value in row.items() if isinstance(value, int | float))
        run.log.info(", ".join(cells))
        if run.logger is not None:
            run.logger.scalars(row, row["epoch"])

    def _write(self, run: Progress) -> None:
        about = self.job.about(run) | {"trained_with": run.trained_with, "versions": versions()}
        if run.waiting is not None:  # beside the one before, until last.pt chooses it
            epoch, weights = run.waiting
            self.job.save_best(run.folder.candidate(epoch), weights, {"epoch": epoch, **about})
        save_checkpoint(run.folder.last, {**self.job.state(), "history": run.history, **about})
        run.folder.settle(run.best_epoch)
        run.folder.write_history(run.history)
        run.waiting, run.written = None, time.monotonic()

    def _make_room(self) -> None:
        freed = self.job.make_room()
        if freed is None:
            raise TrnetError(f"{self.job.title}: out of GPU memory; lower training.batch_size, or --nj")
        log.info(
            "%s: out of GPU memory in epoch %d; %s are freed there, and the epoch begins again",
            self.job.title,
            self.epoch + 1,
            freed,
        )
        self.begin()
