"""Front-ends whose models have a sampling rate of their own and take one clip at a time."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from trnet.frontend.base import FrontEnd, at_level, check_level

FrameStep = Callable[[np.ndarray, np.ndarray], None]
"""step(noisy, enhanced): enhance a frame, (samples,) float32, into a buffer of the same shape."""


class NativeRateFrontEnd(FrontEnd):
    """A model at ``native_rate`` behind the 16 kHz interface; a subclass defines :meth:`enhance_clip`.

    Clips are resampled to ``native_rate`` and back with a linear-phase filter, without delay. Digital silence is
    returned unchanged.

    Attributes:
        native_rate: sampling rate of the model, Hz.
        level_dbfs: RMS of the model's input, dB re full scale, undone at its output; None: unchanged.
        fit_scale: scale the output to the input by least squares: models trained with SI-SDR have an arbitrary scale,
            which may be negative.
    """

    native_rate: int = 16000
    fit_scale: bool = False

    def __init__(self, name: str, level_dbfs: float | None = None) -> None:
        """``name``: the registered name, for messages.

        Raises:
            TrnetError: If ``level_dbfs`` is out of range.
        """
        super().__init__()
        self.name = name
        self.level_dbfs = check_level(name, level_dbfs)

    def enhance_clip(self, clip: Tensor) -> Tensor:
        """Enhance one clip (samples,) float32 at ``native_rate``, not silent; the result is aligned to the sample."""
        raise NotImplementedError(f"{type(self).__name__} has to define enhance_clip(clip)")

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """(clips, samples) to the same shape; 16 kHz."""
        return torch.cat([self._enhance_one(clip[None]) for clip in wav])

    def _enhance_one(self, wav: Tensor) -> Tensor:
        """(1, samples) to the same shape; resampled alone, as small differences may grow in a quantised model."""
        if not bool(wav.any()):
            return wav
        noisy, gain = at_level(wav, self.level_dbfs)
        native = resample_tensor(noisy, self.sample_rate, self.native_rate)
        out = resample_tensor(self.enhance_clip(native[0])[None], self.native_rate, self.sample_rate)[:, : wav.shape[1]]
        return (fitted(out, noisy) if self.fit_scale else out) / gain


def resample_tensor(wav: Tensor, rate_in: int, rate_out: int) -> Tensor:
    """Resample (clips, samples) between rates in Hz: (clips, ceil(samples * rate_out / rate_in)), aligned.

    The filter has linear phase and is flat (0.1 dB) to 96 % of half the lower rate.
    """
    if rate_in == rate_out:
        return wav
    from torchaudio import functional as audio  # here, as it takes half a second to import

    return audio.resample(wav, rate_in, rate_out, lowpass_filter_width=64)


def fitted(enhanced: Tensor, noisy: Tensor) -> Tensor:
    """Scale each clip of ``enhanced`` to that of ``noisy`` by least squares; both (clips, samples)."""
    energy = enhanced.square().sum(dim=1, keepdim=True)
    gain = (enhanced * noisy).sum(dim=1, keepdim=True) / energy
    return enhanced * torch.where(energy > 0, gain, torch.ones_like(gain))


def by_frames(clip: np.ndarray, frame: int, delay: int, step: FrameStep) -> np.ndarray:
    """Run a clip (samples,) float32 through ``step``, which enhances a frame, and remove its delay.

    ``frame``: samples in a frame. ``delay``: samples by which the output of ``step`` lags its input.
    """
    blocks = -(-(len(clip) + delay) // frame)
    noisy = np.zeros((blocks, frame), dtype=np.float32)
    noisy.reshape(-1)[: len(clip)] = clip
    out = np.zeros_like(noisy)
    for source, target in zip(noisy, out, strict=True):
        step(source, target)
    return out.reshape(-1)[delay : delay + len(clip)]
