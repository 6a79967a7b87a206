"""Checks of a front-end's contract on a few utterances, before a whole corpus is enhanced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from trnet.frontend.base import FrontEnd
from trnet.frontend.clips import enhance_clips, enhance_utterance
from trnet.utils.errors import TrnetError

SHORTEST_S = 0.025  # a frame: shorter speech is refused in stage 1
MAX_LAG_S = 0.001
MAX_DIFFERENCE = 1e-3  # of the loudest sample


@dataclass(frozen=True)
class TrialUtterance:
    """A test utterance: its id, its name for messages, its waveform (samples,) float32."""

    utt: str
    name: str
    clip: np.ndarray


def lag(late: np.ndarray, early: np.ndarray) -> int:
    """Samples by which the first (n,) trails the second (n,), where their cross-correlation is largest."""
    size = 2 * len(early)
    cross = np.fft.irfft(np.fft.rfft(late, size) * np.fft.rfft(early, size).conj(), size)
    at = int(cross.argmax())
    return at if at < len(early) else at - size


def try_frontend(build: Callable[[], FrontEnd], utterances: list[TrialUtterance]) -> Iterator[tuple[str, str]]:
    """Each rule, and how it is violated (empty if it is not); whole utterances for a front-end that needs ids."""
    frontend = build()
    same = frontend.fingerprint() == build().fingerprint()
    yield "is the same when built again", "" if same else "its fingerprint differs: seed or load its weights"
    try:
        alone = [_enhance(frontend, utterance) for utterance in utterances]
    except TrnetError as error:
        yield "keeps the length, is finite, does not silence speech", str(error)
        return
    yield "keeps the length, is finite, does not silence speech", ""
    again = _enhance(frontend, utterances[0])
    yield "has the same output again", _difference(alone[:1], [again], utterances)
    lags = [lag(out, utterance.clip) for out, utterance in zip(alone, utterances, strict=True)]
    worst = max(range(len(lags)), key=lambda row: abs(lags[row]))
    late = abs(lags[worst]) > MAX_LAG_S * frontend.sample_rate
    what = f"{utterances[worst].name}: the output is {lags[worst]} samples late: remove the delay from its start"
    yield "is aligned with its input", what if late else ""
    if frontend.needs_ids:
        return
    clips = [utterance.clip for utterance in utterances]
    batch = enhance_clips(frontend, clips, [utterance.name for utterance in utterances])
    yield "has the same output in a batch as alone", _difference(alone, batch, utterances)
    short = utterances[0].clip[: round(SHORTEST_S * frontend.sample_rate)]
    try:
        enhance_clips(frontend, [short], [utterances[0].name])
        problem = ""
    except Exception as error:  # a user's code may raise anything
        problem = f"{type(error).__name__}: {error}: pad the clip with zeros"
    yield f"accepts a clip of {1000 * SHORTEST_S:g} ms", problem


def _enhance(frontend: FrontEnd, utterance: TrialUtterance) -> np.ndarray:
    if frontend.needs_ids:
        return enhance_utterance(frontend, utterance.utt, utterance.clip, utterance.name)
    return enhance_clips(frontend, [utterance.clip], [utterance.name])[0]


def _difference(first: list[np.ndarray], second: list[np.ndarray], utterances: list[TrialUtterance]) -> str:
    """Where two outputs differ; empty if nowhere."""
    for one, other, utterance in zip(first, second, utterances, strict=False):
        difference = float(np.abs(one - other).max())
        if difference > MAX_DIFFERENCE * float(np.abs(one).max()):
            return f"{utterance.name}: differs by up to {difference:.1g}: remove state and dependence on other clips"
    return ""
