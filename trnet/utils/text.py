"""Lists in messages of one line."""

from collections.abc import Iterable


def shorten(items: Iterable[str], most: int = 8, separator: str = ", ") -> str:
    """The first `most` items, and how many more there are."""
    items = list(items)
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return separator.join(items[:most] + more)
