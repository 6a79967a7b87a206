"""Training one system on one fold with one seed; the epoch is chosen on validation UAR only."""

import csv
import io
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from trnet.conditions import CLEAN, Condition
from trnet.config import Config, System, Training
from trnet.errors import TrnetError
from trnet.eval.metrics import uar
from trnet.files import write_text
from trnet.folds import Fold
from trnet.model.ctc import CTCHead, tapped
from trnet.model.frames import ValidFrames
from trnet.provenance import commit, machine, versions
from trnet.train.checkpoint import load_checkpoint, load_weights, save_checkpoint
from trnet.train.ctc import Targets, batch_loss, make_head
from trnet.train.data import Archives, Batch, BatchReader, draw_conditions, training_batches
from trnet.train.decode import decode
from trnet.train.forward import input_kinds, make_model, run_model
from trnet.train.losses import Losses, high_level_loss, low_level_loss, trnet_losses
from trnet.train.seeding import seed_torch

BAR = "{desc}: {percentage:3.0f}%|{bar}| epoch {n:.1f}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
HISTORY = ("epoch", "lr", "loss", "task", "low", "high", "valid_uar", "c_clean", "c_noisy")


@dataclass(frozen=True)
class Task:
    """All that one run is trained from."""

    name: str
    system: System
    fold: Fold
    seed: int
    config: Config
    archives: Archives
    labels: Mapping[str, int]  # class index of each utterance
    classes: tuple[str, ...]
    length: Mapping[str, int]  # frames of each utterance
    conditions: tuple[Condition, ...]  # what training and validation hear
    h_s: Mapping[str, Tensor] | None  # of the teacher, where the system needs it
    device: torch.device
    targets: Targets | None = None  # of CTC, where training.ctc_weight is not 0

    def reader(self, training: bool) -> BatchReader:
        """Reads what the system hears, and in training also X_s and h_s where its losses need them."""
        kinds = [*input_kinds(self.system), *(["clean"] if training and self.system.alpha else [])]
        return BatchReader(self.archives, self.labels, kinds, self.h_s if training else None)


def losses_of(task: Task, model: nn.Module, batch: Batch, ctc: CTCHead | None = None) -> Losses:
    """Eq. 8 for one batch, and with a head the CTC loss on it.

    Raises: TrnetError with the utterances if the loss is not finite.
    """
    bf16 = task.config.training.precision == "bf16"
    tap = nullcontext([]) if ctc is None else tapped(model, task.config.ctc.tap)
    with torch.autocast(task.device.type, torch.bfloat16, enabled=bf16), tap as heard:
        out = run_model(model, task.system, batch)
    low = high = None
    if task.system.alpha:
        assert batch.clean is not None and out.compensated is not None
        low = low_level_loss(batch.clean, out.compensated, ValidFrames(batch.lengths, batch.clean.shape[1]))
    if task.system.beta:
        assert batch.h_s is not None
        high = high_level_loss(batch.h_s, out.h)
    losses = trnet_losses(task.system, out.logits, batch.labels, low, high)
    if ctc is not None:
        assert task.targets is not None
        losses = losses.with_ctc(batch_loss(ctc, *heard[0], batch, task.targets), task.config.training.ctc_weight)
    if not math.isfinite(losses.total.item()):
        utts = " ".join(f"{utt}({condition.name})" for utt, condition in batch.items[:8])
        raise TrnetError(f"{task.name} fold {task.fold.number}: loss is not finite on {utts} ...; lower training.lr")
    return losses


def best_epoch(history: list[dict[str, Any]]) -> int:
    """The first epoch of the largest validation UAR (0 before the first)."""
    return max(history, key=lambda row: (row["valid_uar"], -row["epoch"]), default={"epoch": 0})["epoch"]


def is_finished(history: list[dict[str, Any]], conf: Training) -> bool:
    """Whether max_epochs are done, or the validation UAR has not risen for `patience` epochs."""
    epoch = len(history)
    return epoch >= conf.max_epochs or bool(conf.patience and epoch - best_epoch(history) >= conf.patience)


def goes_too_far(history: list[dict[str, Any]], conf: Training) -> bool:
    """Whether a run with this history would have ended before its last epoch under `conf`."""
    return bool(history) and is_finished(history[:-1], conf)


def ends_at(history: list[dict[str, Any]], conf: Training) -> bool:
    """Whether a run with this history is just what `conf` asks for."""
    return is_finished(history, conf) and not goes_too_far(history, conf)


class Run:
    """The state of one run, kept in ``<folder>/last.pt`` after each epoch; the chosen epoch is ``best.pt``."""

    def __init__(self, task: Task, folder: Path) -> None:
        self.task, self.folder, conf = task, Path(folder), task.config.training
        seed_torch(task.seed, task.fold.test_speaker, "init")
        self.model = make_model(task.config, task.system, len(task.classes)).to(task.device)
        self.ctc = None if task.targets is None else make_head(task.config, task.targets).to(task.device)
        self.optimizer = torch.optim.Adam(self._parameter_groups())
        self.scheduler = None
        if conf.plateau_patience:
            self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
                self.optimizer, mode="max", factor=conf.plateau_factor, patience=conf.plateau_patience
            )
        self.history: list[dict[str, Any]] = []
        self.trained_with = [f"{commit()} on {machine(task.device)}"]

    def _parameter_groups(self) -> list[dict[str, Any]]:
        conf = self.task.config.training
        named = list(self.model.named_parameters())
        groups = [{"params": [p for n, p in named if not n.startswith("gate.")], "lr": conf.lr}]
        if gate := [p for n, p in named if n.startswith("gate.")]:
            groups.append({"params": gate, "lr": self.task.config.gate.lr})
        if self.ctc is not None:
            groups.append({"params": list(self.ctc.parameters()), "lr": conf.lr})
        return groups

    @property
    def best_epoch(self) -> int:
        """The epoch chosen so far."""
        return best_epoch(self.history)

    def finished(self) -> bool:
        """Whether all epochs are done."""
        return is_finished(self.history, self.task.config.training)

    def resume(self) -> None:
        """Take up `last.pt` if it is there and reaches no further than this configuration does."""
        path = self.folder / "last.pt"
        if not path.exists():
            return
        state = load_checkpoint(path)
        best = load_checkpoint(self.folder / "best.pt")
        too_far = goes_too_far(state["history"], self.task.config.training)
        if too_far or best["epoch"] != best_epoch(state["history"]):
            return  # of another call that asked for more: from the start
        load_weights(self.model, state["model"], path)
        if self.ctc is not None:
            load_weights(self.ctc, state.get("ctc", {}), path)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.history, self.trained_with = state["history"], [*state["trained_with"], *self.trained_with]

    def train(self, bar: tqdm) -> None:
        """Train to the end, an epoch at a time; `bar` counts epochs."""
        reader = {part: self.task.reader(part == "train") for part in ("train", "valid")}
        valid = self._valid_items()
        bar.update(len(self.history))
        while not self.finished():
            row = self._train_epoch(reader["train"], bar)
            row |= self._validate(reader["valid"], valid)
            self.history.append(row)
            if self.scheduler is not None:
                self.scheduler.step(row["valid_uar"])
            self._save(improved=self.best_epoch == row["epoch"])

    def _train_epoch(self, reader: BatchReader, bar: tqdm) -> dict[str, Any]:
        task, conf = self.task, self.task.config.training
        epoch = len(self.history) + 1
        key = (task.seed, task.fold.test_speaker, epoch)
        seed_torch(*key, "dropout")
        items = draw_conditions(task.fold.train, task.conditions, conf.train_conditions, *key)
        batches = list(training_batches(items, task.length, conf.batch_size, conf.bucketing, *key))
        self.model.train()
        sums, seen, started = dict.fromkeys(("loss", "task", "low", "high"), 0.0), 0, time.monotonic()
        for done, chunk in enumerate(batches, 1):
            losses = losses_of(task, self.model, reader.read(chunk).to(task.device), self.ctc)
            self.optimizer.zero_grad()
            losses.total.backward()
            if conf.grad_clip:
                head = () if self.ctc is None else self.ctc.parameters()
                nn.utils.clip_grad_norm_([*self.model.parameters(), *head], conf.grad_clip)
            self.optimizer.step()
            seen += len(chunk)
            for name, value in losses.columns().items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(chunk)
            rate = seen / (time.monotonic() - started)
            bar.set_postfix_str(f"loss {sums['loss'] / seen:.3f}, {rate:.0f} utt/s", refresh=False)
            bar.n = epoch - 1 + done / len(batches)
            bar.update(0)
        lr = self.optimizer.param_groups[0]["lr"]
        return {"epoch": epoch, "lr": lr} | {name: value / seen for name, value in sums.items()}

    def _valid_items(self) -> list[tuple[str, Condition]]:
        task = self.task
        how = task.config.training.valid_conditions
        return draw_conditions(task.fold.valid, task.conditions, how, task.fold.test_speaker, "valid")

    def _validate(self, reader: BatchReader, items: list[tuple[str, Condition]]) -> dict[str, float | None]:
        task = self.task
        answers = decode(self.model, task.system, reader, items, task.length, 64, task.device)
        labels = [task.classes[task.labels[utt]] for utt, _ in items]
        preds = [task.classes[int(answers[item].probs.argmax())] for item in items]
        row: dict[str, float | None] = {"valid_uar": uar(labels, preds)}
        for name, clean in (("c_clean", True), ("c_noisy", False)):
            cs = [a.c for (_, cond), a in answers.items() if (cond == CLEAN) == clean and a.c is not None]
            row[name] = sum(cs) / len(cs) if cs else None
        return row

    def _save(self, improved: bool) -> None:
        task = self.task
        weights = self.model.state_dict()
        about = {"system": task.name, "fold": task.fold.number, "seed": task.seed, "classes": list(task.classes)}
        about |= {"trained_with": list(dict.fromkeys(self.trained_with)), "versions": versions()}
        if improved:  # first, so that last.pt never speaks of a best.pt that is not there
            save_checkpoint(self.folder / "best.pt", {"model": weights, "epoch": self.best_epoch, **about})
        state = {"model": weights, "optimizer": self.optimizer.state_dict(), "history": self.history, **about}
        if self.scheduler is not None:
            state["scheduler"] = self.scheduler.state_dict()
        if self.ctc is not None:
            state["ctc"] = self.ctc.state_dict()
        save_checkpoint(self.folder / "last.pt", state)
        text = io.StringIO()
        writer = csv.DictWriter(text, HISTORY if self.ctc is None else (*HISTORY, "ctc"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.history)
        write_text(self.folder / "history.csv", text.getvalue())


def train_run(task: Task, folder: Path) -> None:
    """Train one run in `folder`, taking up an earlier call's last epoch."""
    run = Run(task, folder)
    run.resume()
    desc = f"{task.name} fold {task.fold.number} seed {task.seed}"
    if run.ctc is not None and task.targets is not None:
        count = sum(p.numel() for p in run.ctc.parameters())
        print(f"{desc}: {task.targets.told}; its head has {count:,} parameters, in training only")
    with tqdm(total=task.config.training.max_epochs, desc=desc, bar_format=BAR) as bar:
        run.train(bar)
    best = run.history[run.best_epoch - 1]
    print(f"{desc}: best epoch {run.best_epoch} of {len(run.history)}, validation UAR {best['valid_uar']:.2f} %")
