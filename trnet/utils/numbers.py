"""Numbers from outside (YAML, options, tables, packed models): finite, in plain ASCII digits, within bounds."""

import math
import re
import reprlib
from typing import Any

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"[+-]?[0-9]+")
MOST_DIGITS = 400  # what is longer is no number that anybody meant
_REPR = reprlib.Repr()  # looks into nothing deep or long


def real(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite float from `low` to `high` of a number, or of a text of ASCII digits; ValueError for anything else."""
    if isinstance(value, str) and (len(value) > MOST_DIGITS or not NUMBER.fullmatch(value)):
        raise ValueError(f"'{_short(value)}' is no number")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{shown(value)} is no number")
    try:
        number = float(value)
    except OverflowError:  # of an int
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{shown(value)} is no finite number")
    return _within(number + 0.0, low, high)  # -0.0 becomes 0.0


def whole(value: Any, low: float = -math.inf, high: float = math.inf) -> int:
    """An int of a number, or of a text that is one; arguments and error as in :func:`real`."""
    if isinstance(value, str) and (len(value) > MOST_DIGITS or not WHOLE.fullmatch(value)):
        raise ValueError(f"'{_short(value)}' is no whole number")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{shown(value)} is no whole number")
    return _within(int(value), low, high)


def _within(number: Any, low: float, high: float) -> Any:
    if number < low or number > high:
        ends = f"from {_end(low)} to {_end(high)}" if math.isfinite(high) else f"{_end(low)} or more"
        raise ValueError(f"{shown(number)} must be {ends if math.isfinite(low) else f'at most {_end(high)}'}")
    return number


def _end(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() and abs(bound) < 1e12 else f"{bound:g}"


def shown(value: Any) -> str:
    """A value of any kind and size for a message."""
    if isinstance(value, int) and value.bit_length() > 4 * MOST_DIGITS:
        return "a whole number of thousands of digits"  # which Python does not print
    return _short(_REPR.repr(value))


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
