"""One batch through a front-end: peak normalisation, and checks of the output."""

import numpy as np
import torch

from trnet.audio.reading import SILENCE_RMS
from trnet.frontend.base import FrontEnd
from trnet.frontend.own_code import named_in_errors
from trnet.utils.errors import TrnetError


def enhance_clips(frontend: FrontEnd, clips: list[np.ndarray], names: list[str]) -> list[np.ndarray]:
    """Enhance waveforms (samples,) float32 of any lengths as one batch; `names` are for messages.

    A mixture may peak above full scale: it is scaled to peak 1 for the front-end and back, so levels stay comparable.

    Raises:
        TrnetError: Naming the clip if the front-end returns another length, NaN, or silence for speech.
    """
    gains = [max(1.0, float(np.abs(clip).max())) for clip in clips]
    lengths = torch.tensor([len(clip) for clip in clips])
    batch = torch.zeros(len(clips), int(lengths.max()))
    for row, clip, gain in zip(batch, clips, gains, strict=True):
        row[: len(clip)] = torch.from_numpy(clip / np.float32(gain))
    try:
        with torch.inference_mode(), named_in_errors(frontend.name, "enhance"):
            enhanced = frontend.enhance(batch.to(frontend.device), lengths.to(frontend.device)).cpu().numpy()
    except TrnetError as error:
        more = f" and {len(names) - 1} more, in a batch" if len(names) > 1 else ""
        raise TrnetError(f"{names[0]}{more}: {error}") from None
    out = [row[: len(clip)] * np.float32(gain) for row, clip, gain in zip(enhanced, clips, gains, strict=True)]
    for name, samples, clip in zip(names, out, clips, strict=True):
        _check(name, samples, clip)
    return out


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
