"""One run: a system trained for one fold with one seed, its checkpoints and its history in a folder."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from trnet.conditions import CLEAN
from trnet.folds import Fold
from trnet.metrics import uar
from trnet.runs.checkpoint import check_weights, save_checkpoint
from trnet.runs.history import History, as_csv, best_epoch, is_finished
from trnet.runs.kept import check_best, read_last
from trnet.train.batches import draw_conditions
from trnet.train.experiment_logger import Board
from trnet.train.inference import decode
from trnet.train.task import Task
from trnet.utils.files import write_text
from trnet.utils.provenance import commit, machine, versions

BATCH = 64  # utterances a batch in validation


class Run:
    """What one fold takes from a trajectory: ``last.pt`` after each epoch, and the chosen epoch as ``best.pt``."""

    def __init__(self, task: Task, fold: Fold, folder: Path) -> None:
        self.task, self.fold, self.folder = task, fold, Path(folder)
        self.history: History = []
        self.board: Board | None = None
        self.trained_with = [f"{commit()} on {machine(task.device)}"]
        how = task.config.training.valid_conditions
        self._valid = draw_conditions(fold.valid, task.conditions, how, fold.test_speaker, "valid")
        self._reader = task.reader(training=False)

    @property
    def title(self) -> str:
        """System, fold and seed."""
        return f"{self.task.name} fold {self.fold.number} seed {self.task.seed}"

    def finished(self) -> bool:
        """Whether all its epochs are done."""
        return is_finished(self.history, self.task.config.training)

    def resume(self, model: nn.Module) -> dict[str, Any] | None:
        """Take up ``last.pt`` and return it, if it is there.

        Raises: TrnetError if a checkpoint is damaged, of another network than `model`, or ``best.pt`` is gone.
        """
        self.history, path = [], self.folder / "last.pt"
        if not path.exists():
            return None
        state = read_last(self.folder)
        check_weights(model, state["model"], path)
        check_best(self.folder, state["history"], stopped=True)
        self.history = state["history"]
        self.trained_with = list(dict.fromkeys([*state["trained_with"], *self.trained_with]))
        return state

    def validate(self, model: nn.Module) -> dict[str, float | None]:
        """UAR (%) and the mean c of clean and of noisy speech of the validation speaker."""
        task = self.task
        answers = decode(model, task.system, self._reader, self._valid, BATCH)
        labels = [task.classes[task.labels[utt]] for utt, _ in self._valid]
        preds = [task.classes[int(answers[item].probs.argmax())] for item in self._valid]
        row: dict[str, float | None] = {"valid_uar": uar(labels, preds)}
        for name, clean in (("c_clean", True), ("c_noisy", False)):
            cs = [a.c for (_, cond), a in answers.items() if (cond == CLEAN) == clean and a.c is not None]
            row[name] = sum(cs) / len(cs) if cs else None
        return row

    def save(self, kept: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Write the last epoch's state (model, optimizer and so on) and, if it is the best, `kept` as ``best.pt``."""
        best, task = best_epoch(self.history), self.task
        about = {"system": task.name, "fold": self.fold.number, "seed": task.seed, "classes": list(task.classes)}
        about |= {"trained_with": self.trained_with, "versions": versions()}
        if best == len(self.history):  # first, so that last.pt never speaks of a best.pt that is not there
            save_checkpoint(self.folder / "best.pt", {"model": kept, "epoch": best, **about})
        save_checkpoint(self.folder / "last.pt", {**state, "history": self.history, **about})
        write_text(self.folder / "history.csv", as_csv(self.history))
        if self.board is not None:
            self.board.scalars(self.history[-1], len(self.history))
