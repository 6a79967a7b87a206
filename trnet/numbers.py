"""Numbers from outside (YAML, options, tables, packed models): finite, in plain ASCII digits, within bounds."""

import math
import re
from typing import Any

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"[+-]?[0-9]+")
MOST_DIGITS = 400  # what is longer is no number that anybody meant


def real(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite float of a number, or of a text that is one.

    Args:
        value: int, float or text; a text holds ASCII digits (no ``nan``, ``inf``, ``1_0``, digits of other scripts).
        low: Smallest that is accepted.
        high: Largest that is accepted.

    Raises:
        ValueError: Anything else; the message reads behind what the number is for.
    """
    if isinstance(value, str) and (len(value) > MOST_DIGITS or not NUMBER.fullmatch(value)):
        raise ValueError(f"'{_short(value)}' is no number")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{_short(repr(value))} is no number")
    try:
        number = float(value)
    except OverflowError:  # of an int
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{_short(str(value))} is no finite number")
    return _within(number, low, high)


def whole(value: Any, low: float = -math.inf, high: float = math.inf) -> int:
    """An int of a number, or of a text that is one; arguments and error as in :func:`real`."""
    if isinstance(value, str) and (len(value) > MOST_DIGITS or not WHOLE.fullmatch(value)):
        raise ValueError(f"'{_short(value)}' is no whole number")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{_short(repr(value))} is no whole number")
    return _within(int(value), low, high)


def _within(number: Any, low: float, high: float) -> Any:
    if number < low or number > high:
        ends = f"from {low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        raise ValueError(f"{_short(str(number))} must be {ends if math.isfinite(low) else f'at most {high:g}'}")
    return number


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
