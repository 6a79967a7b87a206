"""One batch through a front-end: peak normalisation, and checks of the output."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from trnet.audio.reading import SILENCE_RMS
from trnet.frontend.base import FrontEnd
from trnet.frontend.own_code import named_in_errors
from trnet.utils.device import fetch, send
from trnet.utils.errors import TrnetError


def enhance_clips(frontend: FrontEnd, clips: list[np.ndarray], names: list[str]) -> list[np.ndarray]:
    """Enhance waveforms (samples,) float32 of any lengths as one batch; `names` are for messages.

    A mixture may peak above full scale: it is scaled to peak 1 for the front-end and back, so levels stay comparable.

    Raises:
        TrnetError: Naming the clip if the front-end returns another length, NaN, or silence for speech.
    """
    return begin_clips(frontend, clips, names)()


def begin_clips(frontend: FrontEnd, clips: list[np.ndarray], names: list[str]) -> Callable[[], list[np.ndarray]]:
    """Begin what :func:`enhance_clips` does; what is returned waits for the result and gives it.

    On a GPU, the next batch can begin before this one has ended.
    """
    gains = [max(1.0, float(np.abs(clip).max())) for clip in clips]
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = torch.zeros(len(clips), int(lengths.max()))
    for row, clip, gain in zip(batch, clips, gains, strict=True):
        row[: len(clip)] = torch.from_numpy(clip / np.float32(gain))
    with _named(frontend, names):
        sizes = frontend.checked_sizes(batch, lengths)
        fetched = fetch(frontend.enhance_checked(send(batch, frontend.device), sizes))

    def ended() -> list[np.ndarray]:
        with _named(frontend, names):
            enhanced = fetched().numpy()
        out = [row[: len(clip)] * np.float32(gain) for row, clip, gain in zip(enhanced, clips, gains, strict=True)]
        for name, samples, clip in zip(names, out, clips, strict=True):
            _check(name, samples, clip)
        return out

    return ended


@contextmanager
def _named(frontend: FrontEnd, names: list[str]) -> Iterator[None]:
    """Errors within the block name the first clip."""
    try:
        with torch.inference_mode(), named_in_errors(frontend.name, "enhance"):
            yield
    except TrnetError as error:
        more = f" and {len(names) - 1} more, in a batch" if len(names) > 1 else ""
        raise TrnetError(f"{names[0]}{more}: {error}") from None


def enhance_utterance(frontend: FrontEnd, utt: str, clip: np.ndarray, name: str) -> np.ndarray:
    """Enhance a whole utterance (samples,) float32 with a front-end that needs its id; errors as `enhance_clips`."""
    with torch.inference_mode(), named_in_errors(frontend.name, f"enhance {name}"):
        enhanced = frontend.enhance_utterance(utt, torch.from_numpy(clip).to(frontend.device)).cpu().numpy()
    if enhanced.shape != clip.shape:
        raise TrnetError(f"{name}: front-end returned shape {enhanced.shape} for {clip.shape}; correct the front-end")
    _check(name, enhanced, clip)
    return enhanced


def _check(name: str, samples: np.ndarray, clip: np.ndarray) -> None:
    if not np.isfinite(samples).all():
        raise TrnetError(f"{name}: front-end returned NaN or infinite samples; check its checkpoint")
    if _rms(samples) < SILENCE_RMS <= _rms(clip):
        raise TrnetError(f"{name}: front-end returned silence (below -100 dB of full scale); check its checkpoint")


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean())) if len(samples) else 0.0
