"""Types of options: what a word of the command line must be, checked before anything is done."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trnet.kaldi.data_dir import channel_of
from trnet.utils.errors import TrnetError, printable
from trnet.utils.names import frontend_id, is_text, noise_name
from trnet.utils.numbers import real, whole

MOST_PROCESSES = 1024
LARGEST_SEED = 2**32 - 1
ANY = 1_000_000_000  # largest number of things that are just counted


def count(low: int = 1, high: int = ANY) -> Callable[[str], int]:
    """Type of a whole number from `low` to `high`."""
    return _checked(lambda text: whole(text, low, high))


def amount(low: float, high: float) -> Callable[[str], float]:
    """Type of a finite number from `low` to `high`."""
    return _checked(lambda text: real(text, low, high))


def _checked(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return read(text)
        except (ValueError, TrnetError) as error:
            raise ArgumentTypeError(str(error)) from None

    return parse


processes = count(1, MOST_PROCESSES)
fold = count(1, 100_000)
seed = count(1, LARGEST_SEED)
decibels = amount(-100, 100)
frontend = _checked(lambda text: frontend_id(text, "front-end"))
noise = _checked(lambda text: noise_name(text, "noise set"))
channel = _checked(channel_of)


def shard(text: str) -> tuple[int, int]:
    """Type of a part of the work: ``2/8`` as (2, 8)."""
    part, _, parts = text.partition("/")
    try:
        total = whole(parts, 1, 100_000)
        return whole(part, 1, total), total
    except ValueError:
        raise ArgumentTypeError(f"'{text}' is not k/n with k from 1 to n") from None


def true_or_false(text: str) -> bool:
    """Type of a switch."""
    if text not in ("true", "false"):
        raise ArgumentTypeError(f"'{text}' is neither true nor false")
    return text == "true"


def path(text: str) -> Path:
    """Type of a file or folder: not empty, and a name that tables and messages can hold."""
    if not text.strip():
        raise ArgumentTypeError("is empty; name a file or folder ('.' is the current one)")
    if not is_text(text) or any(c in "\0\n\r" for c in text):
        raise ArgumentTypeError(f"'{printable(text)}' is no text in UTF-8, or holds a line break; rename it")
    return Path(text)


def path_text(text: str) -> str:
    """Type of a file's name that is kept as it is written."""
    path(text)
    return text


def list_of(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Type of a quoted list, ``--folds "1 2"``, of at least one `kind`; what is there twice is taken once."""

    def parse(text: str) -> list[Any]:
        words = text.replace(",", " ").split()
        if not words:
            raise ArgumentTypeError(f"'{text}' names nothing; name at least one, or leave the option out")
        return list(dict.fromkeys(map(kind, words)))

    return parse
