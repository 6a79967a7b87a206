"""Training: one trajectory of weights, from which each fold that trains on the same utterances takes its checkpoints.

Folds that hold out the same speakers (the two of an IEMOCAP session test and validate in turn) train on the same
utterances, so that a system without a teacher has the same weights after each epoch in all of them; they differ in
which epoch is chosen.
"""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from trnet.features.cache import Item
from trnet.model.batch import Batch
from trnet.runs.checkpoint import load_part, load_weights
from trnet.runs.history import best_epoch
from trnet.train.average import MovingAverage
from trnet.train.batches import BatchReader, draw_conditions, training_batches
from trnet.train.ctc import make_head
from trnet.train.experiment_logger import Board
from trnet.train.forward import make_model
from trnet.train.run import Run
from trnet.train.task import Task, losses_of
from trnet.utils.errors import TrnetError
from trnet.utils.seeding import seed_torch

BAR = "{desc}: {percentage:3.0f}%|{bar}| epoch {n:.1f}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
LOOK_EVERY = {"cpu": 1, "cuda": 50}  # batches between two looks at the losses, for which a GPU has to stop


class Sums:
    """Sums of the losses of an epoch, looked at every few batches."""

    def __init__(self, title: str, device: torch.device) -> None:
        self.title, self.every = title, LOOK_EVERY.get(device.type, 1)
        self.sums: dict[str, float] = {}
        self.seen = 0
        self._waiting: list[tuple[Sequence[Item], dict[str, Tensor]]] = []

    def add(self, items: Sequence[Item], losses: dict[str, Tensor]) -> bool:
        """Take up the losses of a batch, each a scalar by its name; True if all so far are in `sums`.

        Raises: TrnetError with the utterances if a loss is not finite.
        """
        self._waiting.append((items, losses))
        if len(self._waiting) < self.every:
            return False
        self.look()
        return True

    def look(self) -> None:
        """Take what is waiting into `sums`.

        Raises: TrnetError with the utterances if a loss is not finite.
        """
        if not self._waiting:
            return
        values = torch.stack([torch.stack(list(losses.values())) for _, losses in self._waiting]).tolist()
        for (items, losses), row in zip(self._waiting, values, strict=True):
            if not math.isfinite(row[0]):  # the whole loss
                utts = " ".join(f"{utt}({condition.name})" for utt, condition in items[:8])
                more = " ..." if len(items) > 8 else ""
                raise TrnetError(f"{self.title}: loss is not finite on {utts}{more}; lower training.lr")
            for name, value in zip(losses, row, strict=True):
                self.sums[name] = self.sums.get(name, 0.0) + value * len(items)
            self.seen += len(items)
        self._waiting = []

    def means(self) -> dict[str, float]:
        """Mean of each part over the items."""
        self.look()
        return {name: value / self.seen for name, value in self.sums.items()}


class Trajectory:
    """Weights and optimizer on their way, and the runs that take checkpoints from them."""

    def __init__(self, task: Task, runs: Sequence[Run]) -> None:
        assert len(runs) == 1 or not task.config.training.plateau_patience, "the rate of each follows its own UAR"
        self.task, self.runs = task, list(runs)
        self.title = f"{task.name} fold {'+'.join(str(run.fold.number) for run in runs)} seed {task.seed}"
        self._begin()

    def _begin(self) -> None:
        """From the start, or from the last epoch that every run which is not finished has."""
        task, conf = self.task, self.task.config.training
        seed_torch(task.seed, task.draws, "init")
        self.model = make_model(task.config, task.system, len(task.classes)).to(task.device)
        if task.start is not None:
            (self.model.ser if task.system.input == "both" else self.model).load_state_dict(task.start)
        self.average = MovingAverage(self.model, conf.ema) if conf.ema else None
        self.ctc = None if task.targets is None else make_head(task.config, task.targets).to(task.device)
        self.optimizer = torch.optim.Adam(self._parameter_groups())
        self.scheduler = None
        if conf.plateau_patience:
            self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
                self.optimizer, mode="max", factor=conf.plateau_factor, patience=conf.plateau_patience
            )
        self.epoch = 0
        states = {run: run.resume(self.model) for run in self.runs}
        waiting = [run for run in self.runs if not run.finished()]
        behind = min(waiting, key=lambda run: len(run.history), default=None)
        if behind is not None and states[behind] is not None:
            self._load(states[behind], behind.folder / "last.pt")

    def _load(self, state: dict[str, Any], path: Path) -> None:
        self.model.load_state_dict(state["model"])
        if self.ctc is not None:
            load_weights(self.ctc, state.get("ctc", {}), path)
        if self.average is not None:
            load_weights(self.average, state.get("average", {}), path)
        load_part(self.optimizer, state["optimizer"], path, "optimizer")
        if self.scheduler is not None:
            load_part(self.scheduler, state.get("scheduler"), path, "scheduler")
        self.epoch = len(state["history"])

    def _parameter_groups(self) -> list[dict[str, Any]]:
        conf = self.task.config
        named = list(self.model.named_parameters())
        groups = [{"params": [p for n, p in named if not n.startswith("gate.")], "lr": conf.training.lr}]
        if gate := [p for n, p in named if n.startswith("gate.")]:
            groups.append({"params": gate, "lr": conf.gate.lr})
        if self.ctc is not None:
            groups.append({"params": list(self.ctc.parameters()), "lr": conf.training.lr})
        return groups

    def train(self, bar: tqdm) -> None:
        """Train until every run has its end; `bar` counts epochs."""
        reader = self.task.reader(training=True)
        bar.update(self.epoch)
        while waiting := [run for run in self.runs if not run.finished()]:
            try:
                row = self.train_epoch(reader, bar)
                self._finish_epoch(row, waiting)
                continue
            except torch.OutOfMemoryError:
                pass
            self._make_room()  # here, where the exception no longer holds the tensors of the step that failed

    def _make_room(self) -> None:
        if not self.task.store.halve():
            raise TrnetError(f"{self.title}: out of GPU memory; lower training.batch_size, or --nj")
        print(
            f"{self.title}: out of GPU memory in epoch {self.epoch + 1}; half of the features there are given back, "
            "and the epoch begins again"
        )
        self._begin()

    def _finish_epoch(self, row: dict[str, Any], waiting: Sequence[Run]) -> None:
        """Validate and save each run that does not have this epoch yet."""
        for run in waiting:
            if len(run.history) >= row["epoch"]:
                continue  # it was ahead when the trajectory was taken up
            run.history.append(row | run.validate(self.kept))
            if self.scheduler is not None:
                self.scheduler.step(run.history[-1]["valid_uar"])
            run.save(self.kept.state_dict(), self._state())
        self.epoch = row["epoch"]

    @property
    def kept(self) -> nn.Module:
        """What is validated and kept: the network, or its moving average."""
        return self.model if self.average is None else self.average.module

    def _state(self) -> dict[str, Any]:
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        others = {"scheduler": self.scheduler, "ctc": self.ctc, "average": self.average}
        return state | {name: part.state_dict() for name, part in others.items() if part is not None}

    def train_epoch(self, reader: BatchReader, bar: tqdm) -> dict[str, Any]:
        """One epoch; its row of the history but for validation."""
        task, conf = self.task, self.task.config.training
        epoch = self.epoch + 1
        key = (task.seed, task.draws, epoch)
        seed_torch(*key, "dropout")
        items = draw_conditions(task.utts, task.conditions, conf.train_conditions, *key)
        batches = list(training_batches(items, task.store.length, conf.batch_size, conf.bucketing, *key))
        self.model.train()
        sums, started = Sums(self.title, task.device), time.monotonic()
        for done, chunk in enumerate(batches, 1):
            if sums.add(chunk, self.step(reader.read(chunk))):
                rate = sums.seen / (time.monotonic() - started)
                bar.set_postfix_str(f"loss {sums.sums['loss'] / sums.seen:.3f}, {rate:.0f} utt/s", refresh=False)
            bar.n = epoch - 1 + done / len(batches)
            bar.update(0)
        return {"epoch": epoch, "lr": self.optimizer.param_groups[0]["lr"]} | sums.means()

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the optimizer; the batch's losses by their names in the history."""
        clip = self.task.config.training.grad_clip
        losses = losses_of(self.task, self.model, batch, self.ctc)
        self.optimizer.zero_grad()
        losses.total.backward()
        if clip:
            head = () if self.ctc is None else self.ctc.parameters()
            nn.utils.clip_grad_norm_([*self.model.parameters(), *head], clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return {name: value.detach() for name, value in losses.columns().items()}


def train_runs(task: Task, runs: Sequence[Run], position: int | None = None, wandb: str | None = None) -> None:
    """Train runs on one trajectory, each taking up an earlier call's last epoch.

    `position`: line of the bar; `wandb`: project of Weights & Biases, where their curves are wanted there too.
    """
    trajectory = Trajectory(task, runs)
    if trajectory.ctc is not None and task.targets is not None:
        count = sum(p.numel() for p in trajectory.ctc.parameters())
        tqdm.write(f"{trajectory.title}: {task.targets.told}; its head has {count:,} parameters, in training only")
    total = task.config.training.max_epochs
    with ExitStack() as boards, tqdm(total=total, desc=trajectory.title, bar_format=BAR, position=position) as bar:
        for run in runs:
            run.board = boards.enter_context(Board(run.folder, len(run.history), run.title, wandb))
        trajectory.train(bar)
    for run in runs:
        best = run.history[best_epoch(run.history) - 1]
        tqdm.write(
            f"{run.title}: best epoch {best['epoch']} of {len(run.history)}, validation UAR {best['valid_uar']:.2f} %"
        )
