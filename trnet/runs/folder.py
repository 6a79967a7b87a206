"""The folder of a run, of an SER system or of a front-end: checkpoints, history, and what made them.

``last.pt`` holds the last epoch's state and the history, another file the chosen epoch.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trnet.runs.checkpoint import load_checkpoint, way_out
from trnet.runs.history import COLUMNS, History, Rule, as_csv
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text, write_text
from trnet.utils.stamp import Stamp, read_stamp

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """The files of a run."""

    path: Path  # of the folder
    best_name: str = "best.pt"  # file of the chosen epoch
    needed: Sequence[str] = ("model", "optimizer", "history", "trained_with")  # entries of ``last.pt``
    scores: Collection[str] = ("valid_uar",)  # columns of the history that have to be numbers
    columns: Sequence[str] = COLUMNS  # first columns of ``history.csv``

    @property
    def last(self) -> Path:
        """Checkpoint of the last epoch."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """File of the chosen epoch."""
        return self.path / self.best_name

    def candidate(self, epoch: int) -> Path:
        """File of an epoch that ``last.pt`` is about to choose; see `settle`."""
        return self.path / f".{self.best_name}.{epoch}"

    def settle(self, chosen: int) -> None:
        """Let the candidate of the epoch that ``last.pt`` chooses be the file of the chosen epoch, and remove others.

        So the two files agree wherever a run is killed, once this is called again.
        """
        for path in self.path.glob(f".{self.best_name}.*"):
            if path == self.candidate(chosen):
                path.replace(self.best)
            else:
                path.unlink()

    def read_last(self) -> dict[str, Any]:
        """The state of the last epoch."""
        return load_checkpoint(self.last, *self.needed, columns=self.scores)

    def history(self) -> History:
        """The history so far; empty before the first epoch."""
        if not self.last.exists():
            return []
        return load_checkpoint(self.last, "history", columns=self.scores)["history"]

    def write_history(self, history: History) -> None:
        """Write ``history.csv``."""
        write_text(self.path / "history.csv", as_csv(history, self.columns))

    def report_finished(self, history: History) -> None:
        """Log that the run is up to date, and write its ``history.csv`` anew where it is not what ``last.pt`` holds."""
        path = self.path / "history.csv"
        try:
            there = read_text(path)
        except (FileNotFoundError, UnicodeDecodeError):
            there = ""
        if there != as_csv(history, self.columns):
            self.write_history(history)
            log.info("%s: was missing or damaged; written anew from last.pt", path)
        log.info("%s: up to date", self.path)

    def move_conflicting_aside(self, stamp: Stamp, rule: Rule) -> None:
        """Move aside a run of another configuration, bring back one of this that was, move aside one of more epochs.

        A run whose stamp is gone or damaged is moved aside, too, and so is what is left of one without ``last.pt``.
        """
        there = self.last.exists() or self.best.exists()
        if changed := stamp.changed():
            _shelve(stamp, f"changed: {', '.join(changed)}")
        elif there and "made_from" not in read_stamp(stamp.path):
            _shelve(stamp, f"{stamp.path.name} is missing or damaged, so that its configuration is unknown")
        stamp.restore()
        if self.best.exists() and not self.last.exists() and (self.path / "history.csv").exists():
            _shelve(stamp, f"has no {self.last.name}", ".incomplete")  # history.csv is written after it
        history = self.history()
        if rule.goes_too_far(history):
            _shelve(stamp, f"has {len(history)} epochs, too many", f".{len(history)}epochs")

    def check_best(self, epoch: int, chosen: int) -> None:
        """Make sure that the file of the chosen epoch is of the epoch that ``last.pt`` chooses; TrnetError if not."""
        if epoch != chosen:
            raise TrnetError(f"{self.best}: is of epoch {epoch}, but last.pt chooses {chosen}; {way_out(self.best)}")


def _shelve(stamp: Stamp, why: str, suffix: str = "") -> None:
    kept = stamp.shelve(suffix)
    log.info("%s: %s; what was there is kept as %s", stamp.folder, why, kept.name)
