"""What a run keeps, read back: ``last.pt``, ``best.pt`` and the history, and whether they are of one run."""

from pathlib import Path
from typing import Any

from trnet.runs.checkpoint import load_checkpoint, way_out
from trnet.runs.history import History, as_csv, best_epoch
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text, write_text


def read_last(folder: Path) -> dict[str, Any]:
    """The state of a run's last epoch, from ``last.pt``.

    Raises: TrnetError if it is missing or damaged.
    """
    needed = ("model", "optimizer", "history", "trained_with")
    return load_checkpoint(Path(folder) / "last.pt", *needed, columns=("valid_uar",))


def read_best(folder: Path, *more: str) -> dict[str, Any]:
    """The chosen epoch of a run, from ``best.pt``: its weights, its number, and further entries that are needed.

    Raises: TrnetError if it is missing or damaged.
    """
    return load_checkpoint(Path(folder) / "best.pt", "model", "epoch", *more)


def check_best(folder: Path, history: History, stopped: bool = False) -> None:
    """Make sure that ``best.pt`` is whole and of the epoch that a history chooses.

    Args:
        folder: Of the run.
        history: From its ``last.pt``.
        stopped: The run may have been stopped after ``best.pt`` of the next epoch was written, before ``last.pt`` was.

    Raises: TrnetError if it is not.
    """
    path, chosen = Path(folder) / "best.pt", best_epoch(history)
    if not path.exists():
        raise TrnetError(f"{path}: is gone, but last.pt has {len(history)} epochs; {way_out(path)}")
    epoch = read_best(folder)["epoch"]
    if epoch != chosen and not (stopped and epoch == len(history) + 1):
        raise TrnetError(f"{path}: is of epoch {epoch}, but the best of last.pt is {chosen}; {way_out(path)}")


def say_done(folder: Path, history: History) -> None:
    """Say that a run is finished, and write its ``history.csv`` anew where it is not what ``last.pt`` says."""
    path, text = Path(folder) / "history.csv", as_csv(history)
    try:
        there = read_text(path)
    except (FileNotFoundError, UnicodeDecodeError):
        there = ""
    if there != text:
        write_text(path, text)
        print(f"{path}: was gone or damaged; written anew from last.pt")
    print(f"{folder}: up to date")
