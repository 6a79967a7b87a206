"""What front-ends share that work at a rate of their own and take one clip at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchaudio import functional as audio

from trnet.frontend.base import FrontEnd, at_level, check_level

Step = Callable[[np.ndarray, np.ndarray], None]
"""Enhances a frame, (samples,) float32, into another of that shape, given empty."""


class NativeRateFrontEnd(FrontEnd):
    """A model at ``native_rate`` behind the 16 kHz interface.

    A subclass writes :meth:`enhance_clip`. Clips are resampled to ``native_rate`` and back with a linear-phase filter,
    which delays nothing. Digital silence is handed back as it is.

    Attributes:
        native_rate: rate that the model works at, Hz.
        level_dbfs: RMS at which a clip meets the model, dB re full scale, to be taken back after it; None: as it is.
        fit_scale: whether to scale each clip that comes out so that it is the nearest to the one that went in (least
            squares). For models trained on SI-SDR, which may give any scale, the negative included.
    """

    native_rate: int = 16000
    fit_scale: bool = False

    def __init__(self, name: str, level_dbfs: float | None = None) -> None:
        """Start a front-end.

        Args:
            name: the registered name, for messages.
            level_dbfs: see above.

        Raises:
            TrnetError: ``level_dbfs`` out of range.
        """
        super().__init__()
        check_level(name, level_dbfs)
        self.name = name
        self.level_dbfs = level_dbfs

    def enhance_clip(self, clip: Tensor) -> Tensor:
        """Enhance one clip.

        Args:
            clip: (samples,) float32 at ``native_rate``, not silent.

        Returns:
            (samples,) float32, aligned with the input to the sample, on its device.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define enhance_clip(clip)")

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """(clips, samples) to the same shape; 16 kHz."""
        return torch.cat([self._enhance_one(clip[None]) for clip in wav])

    def _enhance_one(self, wav: Tensor) -> Tensor:
        """(1, samples) to the same shape; resampled alone too, as small differences can grow in a quantised model."""
        if not bool(wav.any()):
            return wav
        noisy, gain = at_level(wav, self.level_dbfs)
        native = resample(noisy, self.sample_rate, self.native_rate)
        clean = resample(self.enhance_clip(native[0])[None], self.native_rate, self.sample_rate)[:, : wav.shape[1]]
        return (fitted(clean, noisy) if self.fit_scale else clean) / gain


def resample(wav: Tensor, rate_in: int, rate_out: int) -> Tensor:
    """Resample with a linear-phase filter that is flat (0.1 dB) to 96 % of half the lower rate.

    Args:
        wav: (clips, samples) at ``rate_in``.
        rate_in: Hz.
        rate_out: Hz.

    Returns:
        (clips, ceil(samples * rate_out / rate_in)), aligned.
    """
    return audio.resample(wav, rate_in, rate_out, lowpass_filter_width=64)


def fitted(clean: Tensor, noisy: Tensor) -> Tensor:
    """Scale each clip of ``clean`` by the gain that brings it nearest to that of ``noisy``; both (clips, samples)."""
    energy = clean.square().sum(dim=1, keepdim=True)
    gain = (clean * noisy).sum(dim=1, keepdim=True) / energy
    return clean * torch.where(energy > 0, gain, torch.ones_like(gain))


def by_frames(clip: np.ndarray, frame: int, delay: int, step: Step) -> np.ndarray:
    """Run a clip through what takes and gives a frame at a time and answers late.

    Args:
        clip: (samples,) float32.
        frame: samples of a frame.
        delay: samples by which the answer is late; so many are asked for beyond the end, and cut off the start.
        step: enhances one frame.

    Returns:
        (samples,) float32, aligned with ``clip``.
    """
    blocks = -(-(len(clip) + delay) // frame)
    noisy = np.zeros((blocks, frame), dtype=np.float32)
    noisy.reshape(-1)[: len(clip)] = clip
    clean = np.zeros_like(noisy)
    for source, target in zip(noisy, clean, strict=True):
        step(source, target)
    return clean.reshape(-1)[delay : delay + len(clip)]
