"""Training one front-end with one seed; the epoch is chosen on validation utterances only."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from trnet.enh.checkpoint import save_frontend
from trnet.enh.config import EnhConfig
from trnet.enh.dataset import RATE, Pairs, drawn, epoch_batches
from trnet.enh.methods import build_method
from trnet.enh.metrics import METRICS, mean_scores, pesq_of_pair, scores_of_pair
from trnet.enh.schedule import best_epoch, is_finished, lr_at, score
from trnet.frontend.clips import enhance_clips
from trnet.runs.checkpoint import load_checkpoint, save_checkpoint, way_out
from trnet.train.experiment_logger import Board
from trnet.utils.allocator import keep_freed_memory
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_text
from trnet.utils.provenance import commit, machine, versions
from trnet.utils.seeding import seed_torch
from trnet.utils.state_dict import damage_of
from trnet.utils.workers import Workers

BAR = "{desc}: {percentage:3.0f}%|{bar}| epoch {n:.1f}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
WORTH = 1000  # utterances of an epoch for which it pays to start processes that read them
FRONTEND, LAST = "frontend.pt", "last.pt"
SCORES = tuple(f"valid_{name}" for name in METRICS)
"""Columns of the history that an epoch may be chosen by."""


@dataclass(frozen=True)
class Task:
    """All that one run is trained from, and the processes that help."""

    config: EnhConfig
    train: Pairs
    valid: Pairs
    seed: int
    device: torch.device
    nj: int = 1
    wandb: str | None = None  # project of Weights & Biases

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{self.config.frontend} seed {self.seed}"

    def valid_utts(self) -> list[str]:
        """The validation utterances: all, or those drawn once, whatever the seed."""
        return drawn(self.valid.utts, self.config.validation.utts, "valid")


class Run:
    """The state of one run: ``<folder>/last.pt`` after each epoch, ``<folder>/frontend.pt`` of the chosen one."""

    def __init__(self, task: Task, folder: Path, apply: Callable[[Callable, Sequence], list]) -> None:
        """Build the untrained network.

        Args:
            task: what to train.
            folder: of the run.
            apply: maps a function over items, as `trnet.utils.workers.Workers.map`.
        """
        self.task, self.folder, self.apply = task, Path(folder), apply
        seed_torch(task.seed, "init")
        self.method = build_method(task.config, lambda pairs: apply(pesq_of_pair, pairs))
        self.method.to(task.device)
        self.history: list[dict[str, Any]] = []
        self.steps = 0
        self.trained_with = [f"{commit()} on {machine(task.device)}"]

    @property
    def best_epoch(self) -> int:
        """The epoch chosen so far."""
        return best_epoch(self.history, self.task.config.validation)

    def finished(self) -> bool:
        """Whether all epochs are done."""
        return is_finished(self.history, self.task.config.training, self.task.config.validation)

    def resume(self) -> None:
        """Take up `last.pt` if it is there.

        Raises: TrnetError if it is damaged or of another network.
        """
        path = self.folder / LAST
        if not path.exists():
            return
        state = read_last(self.folder)
        self.method.load(state["method"], path)
        self.history, self.steps = state["history"], state["steps"]
        self.trained_with = [*state["trained_with"], *self.trained_with]

    def train(self, bar: tqdm) -> None:
        """Train to the end, an epoch at a time; `bar` counts epochs."""
        bar.update(len(self.history))
        with Board(self.folder, len(self.history), self.task.name, self.task.wandb) as board:
            while not self.finished():
                row = self._train_epoch(bar)
                row |= self._validate(board, row["epoch"])
                self.history.append(row)
                board.scalars({k: v for k, v in row.items() if k != "epoch"}, row["epoch"])
                self._save(improved=self.best_epoch == row["epoch"])

    def _train_epoch(self, bar: tqdm) -> dict[str, Any]:
        conf, epoch, started = self.task.config.training, len(self.history) + 1, time.monotonic()
        key = (self.task.seed, epoch)
        seed_torch(*key, "dropout")
        samples = max(1, round(conf.segment_s * RATE))
        heard = conf.utts_per_epoch or len(self.task.train.utts)
        workers = self.task.nj if self.task.nj > 1 and heard >= WORTH else 0
        size = (samples, conf.batch_size, conf.utts_per_epoch, workers)
        groups, batches = epoch_batches(self.task.train, *size, *key)
        count = len(groups)
        self.method.train(True)
        sums: dict[str, float] = {}
        for done, (utts, (noisy, clean)) in enumerate(zip(groups, read_ahead(batches), strict=True), 1):
            self.steps += 1
            self.method.set_lr(lr := lr_at(self.steps, self.history, conf, self.task.config.validation))
            try:
                parts = self.method.step(noisy.to(self.task.device), clean.to(self.task.device))
            except TrnetError as error:
                raise TrnetError(f"{self.task.name}: epoch {epoch}, {' '.join(utts)}: {error}") from None
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
            speed = done * conf.batch_size * conf.segment_s / (time.monotonic() - started)
            bar.set_postfix_str(f"loss {sums['loss'] / done:.4f}, {speed:.1f} s of speech/s", refresh=False)
            bar.n = epoch - 1 + done / count
            bar.update(0)
        return {"epoch": epoch, "lr": lr} | {f"train_{name}": value / count for name, value in sums.items()}

    def _validate(self, board: Board, epoch: int) -> dict[str, float]:
        self.method.train(False)
        task, pairs = self.task, []
        for number, utt in enumerate(task.valid_utts()):
            noisy, clean = task.valid.read(utt)
            enhanced = enhance_clips(self.method.frontend, [noisy], [f"{task.name}: {utt}"])[0]
            pairs.append((enhanced, clean))
            if number < task.config.validation.audio:
                for kind, samples in (("noisy", noisy), ("clean", clean)) if epoch == 1 else ():
                    board.audio(kind, utt, samples, 0)
                board.audio("enhanced", utt, enhanced, epoch)
        means = mean_scores(self.apply(scores_of_pair, pairs))
        return {f"valid_{name}": value for name, value in zip(METRICS, means, strict=True)}

    def _save(self, improved: bool) -> None:
        if improved:  # first, so that last.pt never speaks of a front-end that is not there
            save_frontend(self.folder / FRONTEND, self.task.config.frontend, self.method)
        about = {"trained_with": list(dict.fromkeys(self.trained_with)), "versions": versions()}
        state = {"method": self.method.state(), "history": self.history, "steps": self.steps, **about}
        save_checkpoint(self.folder / LAST, state)
        text = io.StringIO()
        columns = dict.fromkeys(name for row in self.history for name in row)
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.history)
        write_text(self.folder / "history.csv", text.getvalue())


def read_ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """Batches that other processes read, whose failures come as one line.

    Raises: TrnetError for audio that cannot be read (PyTorch puts the traceback of the process into the message), or a
        process that was killed.
    """
    try:
        yield from batches
    except TrnetError as error:
        raise TrnetError(str(error).rpartition("TrnetError: ")[2].strip()) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrnetError("a process that reads segments was killed, perhaps for want of memory; lower --nj") from None


def read_last(folder: Path) -> dict[str, Any]:
    """The state of a run's last epoch, from ``last.pt``.

    Raises: TrnetError if it is missing or damaged.
    """
    return load_checkpoint(folder / LAST, "method", "history", "steps", "trained_with", columns=SCORES)


def check_chosen(folder: Path) -> None:
    """Make sure that the front-end of the chosen epoch is there and whole.

    Raises: TrnetError if it is not.
    """
    path = folder / FRONTEND
    try:
        with open(path, "rb") as stream:
            damage = damage_of(stream)
    except FileNotFoundError:
        damage = f"gone, though {LAST} is there"
    if damage:
        raise TrnetError(f"{path}: is no readable checkpoint ({damage}); {way_out(path)}")


def train_run(task: Task, folder: Path) -> None:
    """Train one run in `folder`, taking up an earlier call's last epoch."""
    if task.device.type == "cpu":
        keep_freed_memory()  # CMGAN a fifth faster
    with Workers(task.nj, "scoring") as workers:
        run = Run(task, folder, workers.map)
        run.resume()
        with tqdm(total=task.config.training.max_epochs, desc=task.name, bar_format=BAR) as bar:
            run.train(bar)
    chosen, conf = run.history[run.best_epoch - 1], task.config.validation
    what = {"pesq": "PESQ {:.3f}", "si_sdr": "SI-SDR {:.2f} dB"}[conf.choose].format(score(chosen, conf))
    print(f"{task.name}: best epoch {run.best_epoch} of {len(run.history)}, validation {what}")
