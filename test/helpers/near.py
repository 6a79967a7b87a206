"""How near two results have to be: tolerances from the arithmetic of float32, not from what one machine gave.

A float32 is rounded to within half of 2^-23 of itself. In which order a sum is taken depends on the processor, the
library, the threads and on what else is in the batch, so that the same result differs by some roundings of the largest
number that went into it: by the square root of the count of terms as a rule, and layer after layer adds some. A number
next to zero that is what is left of large ones is as far off as they are: `assert_near` measures by the largest number
of the whole array, and what blows up the small ones (a logarithm, a root) is undone before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

EPS = 2.0**-23

ROUNDINGS = 1000
"""Of the largest number, 1.2e-4 of it. What is right differs by 1 to 30 of them through the networks here, gradients
included; a frame too many, padding that leaks or a norm that is off moves a result by 1e5 or more."""

WAVE = 3e-5
"""For a front-end's waveform of speech against that of its authors' code, and against its own computed in another way.
One rounding of each input sample moves CMGAN's by 2e-6, which takes a root of the spectrum, that of others by 1e-7 to
7e-7; one wrong norm moves it by 7e-4 or more. This is the middle, 20 times from either."""

ANSWER = 1e-3
"""For c and probabilities of the small models here. Audio that differs in its last bits may come to the next of the
65,536 steps that the archives round log-mels to. One step, 3e-4 at most, in every log-mel of an utterance, all of them
in the direction that counts most, moves c by 2e-4 and a probability by 6e-5 (sums of the gradients' magnitudes)."""


def assert_near(
    got: Tensor | np.ndarray,
    wanted: Tensor | np.ndarray,
    roundings: float = ROUNDINGS,
    of: float | None = None,
    what: object = "",
) -> None:
    """Every number is within so many roundings of the largest one.

    Args:
        got: Of any shape.
        wanted: Of the same shape.
        roundings: Of float32.
        of: The number that is rounded; None: the largest magnitude in `wanted`.
        what: Named where it is not so.
    """
    got, wanted = (torch.as_tensor(x).detach().cpu().double() for x in (got, wanted))
    assert got.shape == wanted.shape, (what, got.shape, wanted.shape)
    if not got.numel():
        return
    largest = float(wanted.abs().max()) if of is None else of
    difference = float((got - wanted).abs().max())
    said = f"{what} differs by {difference:.3g}, where the largest is {largest:.3g}"
    assert difference <= roundings * EPS * largest, said  # NaN is not


def amplitudes(log_mels: Tensor | np.ndarray) -> Tensor:
    """Log energies of mel bins to the magnitudes that are behind them, in which rounding is alike in all bins.

    A bin next to zero beside a loud one has an error that its logarithm blows up without bound.
    """
    return (torch.as_tensor(log_mels).double() / 2).exp()


def assert_same_answer(
    emotion: str, probabilities: Mapping[str, float], other: str, wanted: Mapping[str, float], near: float = ANSWER
) -> None:
    """The probabilities are near, and so the emotions are the same, unless the best two are near each other too."""
    assert probabilities.keys() == wanted.keys()
    for name, probability in wanted.items():
        assert abs(probabilities[name] - probability) < near, (name, probabilities, wanted)
    best = max(wanted.values())
    assert emotion == other or min(wanted[emotion], wanted[other]) > best - 2 * near, (emotion, other, wanted)
