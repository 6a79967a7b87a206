"""Quality of enhanced speech: SI-SDR, wide-band PESQ, STOI; NaN where one of them is undefined."""

import importlib
import math
import warnings
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import NamedTuple

import numpy as np

from trnet.utils.errors import TrnetError, missing_package

RATE = 16000  # Hz
METRICS = ("si_sdr", "pesq", "stoi")
PESQ_IS_COMPILED = " (by a C compiler, with Python's headers; Debian: apt-get install gcc python3-dev)"


class Scores(NamedTuple):
    """SI-SDR in dB, PESQ (about 1 to 4.64), STOI (0 to 1); NaN if undefined."""

    si_sdr: float
    pesq: float
    stoi: float


def si_sdr(estimate: np.ndarray, clean: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., ICASSP 2019, Eq. 3) of two signals (samples,).

    NaN if one of them is silent, inf if they differ in level only.
    """
    assert estimate.shape == clean.shape and estimate.ndim == 1, (estimate.shape, clean.shape)
    estimate, clean = estimate.astype(np.float64), clean.astype(np.float64)
    if not estimate.any() or not clean.any():
        return math.nan
    target = (estimate @ clean) / (clean @ clean) * clean
    rest = estimate - target
    with np.errstate(divide="ignore"):
        return float(10 * np.log10((target @ target) / (rest @ rest)))


def pesq_wb(estimate: np.ndarray, clean: np.ndarray) -> float:
    """Wide-band PESQ (ITU-T P.862.2) of two signals (samples,) at 16 kHz; NaN without speech."""
    pesq = _package("pesq")
    if not estimate.any() or not clean.any():  # it divides by their peaks
        return math.nan
    try:
        return float(pesq.pesq(RATE, clean, estimate, "wb"))
    except (pesq.PesqError, ValueError):  # no utterance found, or too short
        return math.nan


def stoi(estimate: np.ndarray, clean: np.ndarray) -> float:
    """STOI (Taal et al. 2011) of two signals (samples,) at 16 kHz; NaN for too little speech."""
    pystoi = _package("pystoi")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # for fewer than 30 frames of speech
        try:
            return float(pystoi.stoi(clean, estimate, RATE))
        except (RuntimeWarning, ValueError):
            return math.nan


def scores_of(estimate: np.ndarray, clean: np.ndarray) -> Scores:
    """All three of one utterance, (samples,) each."""
    return Scores(si_sdr(estimate, clean), pesq_wb(estimate, clean), stoi(estimate, clean))


def scores_of_pair(pair: tuple[np.ndarray, np.ndarray]) -> Scores:
    """`scores_of` for ``map``."""
    return scores_of(*pair)


def pesq_of_pair(pair: tuple[np.ndarray, np.ndarray]) -> float:
    """`pesq_wb` for ``map``."""
    return pesq_wb(*pair)


def mean_scores(scores: Iterable[Sequence[float]]) -> Scores:
    """Means over the utterances for which a metric is defined; NaN if there are none."""
    table = np.array([tuple(row) for row in scores], dtype=np.float64).reshape(-1, len(METRICS))
    columns = (column[np.isfinite(column)] for column in table.T)
    return Scores(*(float(column.mean()) if len(column) else math.nan for column in columns))


def check_packages() -> None:
    """Check that the packages for scores are installed, before hours of training."""
    for name, more in (("pesq", PESQ_IS_COMPILED), ("pystoi", "")):
        if find_spec(name) is None:
            raise TrnetError(f"{missing_package(name, 'enh')}{more}")


def _package(name: str) -> ModuleType:
    """A package of the extra ``enh``."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise missing_package(name, "enh") from None
