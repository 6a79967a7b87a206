"""What is in the way of a run and not what is wanted is moved aside, never overwritten."""

from collections.abc import Callable, Collection
from pathlib import Path

from trnet.runs.checkpoint import load_checkpoint
from trnet.runs.history import History
from trnet.utils.stamp import Stamp, read_stamp


def make_way(
    stamp: Stamp, last: Path, chosen: Path, goes_too_far: Callable[[History], bool], columns: Collection[str]
) -> None:
    """Move aside a run of another configuration, bring back one of this that was, and move aside one of more epochs.

    A run of an unknown configuration, whose stamp is gone or damaged, is moved aside, too, and so is what is left of
    one whose `last` was removed.

    Args:
        stamp: Of the run's folder.
        last: Its checkpoint of the last epoch, with a ``history``.
        chosen: What it keeps of the chosen epoch.
        goes_too_far: Whether a run with a history has epochs past its end, the last of which may have been chosen.
        columns: What of the history that asks for.

    Raises: TrnetError if `last` is damaged.
    """
    if changed := stamp.changed():
        _shelve(stamp, f"changed: {', '.join(changed)}")
    elif (last.exists() or chosen.exists()) and "made_from" not in read_stamp(stamp.path):
        _shelve(stamp, f"its {stamp.path.name} is gone or damaged, so that nobody knows what it was made from")
    stamp.restore()
    if chosen.exists() and not last.exists() and (last.parent / "history.csv").exists():  # written behind `last`
        _shelve(stamp, f"has no {last.name}", ".incomplete")
    history = load_checkpoint(last, "history", columns=columns)["history"] if last.exists() else []
    if goes_too_far(history):
        _shelve(stamp, f"has {len(history)} epochs, too many", f".{len(history)}epochs")


def _shelve(stamp: Stamp, why: str, suffix: str = "") -> None:
    kept = stamp.shelve(suffix)
    print(f"{stamp.folder}: {why}; what was there is kept as {kept.name}")
