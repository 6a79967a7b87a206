"""One run: a system trained for one fold with one seed."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trnet.folds import Fold
from trnet.runs.checkpoint import load_checkpoint, way_out
from trnet.runs.folder import RunFolder
from trnet.runs.history import History, best_epoch
from trnet.utils.errors import TrnetError
from trnet.utils.stamp import Stamp, file_digest


@dataclass(frozen=True)
class RunSpec:
    """A system, a fold and a seed, and the folder of what is trained from them: stamp and checkpoints.

    Made by `Experiment.run`, which knows the folder.
    """

    system: str
    fold: Fold
    seed: int
    folder: Path

    @property
    def title(self) -> str:
        """System, fold and seed for a message."""
        return f"{self.system} {self.fold.title} seed {self.seed}"

    @cached_property
    def files(self) -> RunFolder:
        """Checkpoints and history."""
        return RunFolder(self.folder, scores=() if self.score is None else (self.score,))

    @property
    def score(self) -> str | None:
        """Column of the history by which the epoch is chosen; None where nobody validates."""
        return "valid_uar" if self.fold.valid else None

    @property
    def best(self) -> Path:
        """Checkpoint of the chosen epoch."""
        return self.files.best

    @property
    def last(self) -> Path:
        """Checkpoint of the last epoch."""
        return self.files.last

    def stamp(self, made_from: dict[str, Any]) -> Stamp:
        """The stamp of its training."""
        return Stamp(self.folder, "train", made_from)

    def read_best(self, *more: str) -> dict[str, Any]:
        """The chosen epoch: its weights, its number, and further entries that are needed."""
        return load_checkpoint(self.best, "model", "epoch", *more)

    def read_last(self) -> dict[str, Any]:
        """The state of the last epoch."""
        return self.files.read_last()

    def check_best(self, history: History) -> None:
        """Make sure that ``best.pt`` is whole and of the epoch that a history chooses; TrnetError if not."""
        if not self.best.exists():
            raise TrnetError(f"{self.best}: is gone, but last.pt has {len(history)} epochs; {way_out(self.best)}")
        self.files.check_best(self.read_best()["epoch"], best_epoch(history, self.score))

    def digest(self) -> str:
        """Digest of the chosen epoch's checkpoint."""
        return file_digest(self.best)
