"""What is in the way of a run and not what is wanted is moved aside, never overwritten."""

from collections.abc import Callable
from pathlib import Path

from trnet.stamp import Stamp
from trnet.train.checkpoint import load_checkpoint
from trnet.train.history import History


def make_way(stamp: Stamp, last: Path, goes_too_far: Callable[[History], bool]) -> None:
    """Move aside a run of another configuration, bring back one of this that was, and move aside one of more epochs.

    Args:
        stamp: Of the run's folder.
        last: Its checkpoint of the last epoch, with a ``history``.
        goes_too_far: Whether a run with a history has epochs past its end, the last of which may have been chosen.

    Raises: TrnetError if the checkpoint is damaged.
    """
    if changed := stamp.changed():
        kept = stamp.shelve()
        print(f"{stamp.folder}: changed: {', '.join(changed)}; what was there is kept as {kept.name}")
    stamp.restore()
    history = load_checkpoint(last)["history"] if last.exists() else []
    if goes_too_far(history):
        kept = stamp.shelve(f".{len(history)}epochs")
        print(f"{stamp.folder}: has {len(history)} epochs, too many; what was there is kept as {kept.name}")
