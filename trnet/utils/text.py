"""Numbers and lists in messages of one line."""

from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """``1 fold`` or ``2 folds``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def shorten(items: Iterable[str], most: int = 8, separator: str = ", ") -> str:
    """The first `most` items, and how many more there are."""
    items = list(items)
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return separator.join(items[:most] + more)
