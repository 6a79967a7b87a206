"""The log-mels that pretrained networks read, in PyTorch, so that gradients pass; transformers has them in NumPy.

No operation here is one that PyTorch refuses on a GPU where results are to be deterministic.
"""

from typing import Any

import torch
from torch import Tensor


class _Constants:
    """Window and filter bank (bins, mels) in float32, kept on each device where clips came from."""

    def __init__(self, window: Tensor, filters: Any) -> None:
        self._kept = {torch.device("cpu"): (window.float(), torch.as_tensor(filters).float())}

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Both on a device."""
        if device not in self._kept:
            window, filters = self._kept[torch.device("cpu")]
            with torch.inference_mode(False):  # gradients may pass later
                self._kept[device] = (window.to(device), filters.to(device))
        return self._kept[device]


class WhisperLogMels:
    """Clips (B, samples) -> Whisper's log-mels (B, mels, samples // hop), each clip's largest value its reference."""

    def __init__(self, preprocessor: Any) -> None:
        self.size, self.hop = int(preprocessor.n_fft), int(preprocessor.hop_length)
        self.constants = _Constants(torch.hann_window(self.size), preprocessor.mel_filters)

    def __call__(self, wavs: Tensor) -> Tensor:
        """As above."""
        window, filters = self.constants.on(wavs.device)
        edge = self.size // 2
        mirrored = torch.cat([wavs[:, 1 : edge + 1].flip(1), wavs, wavs[:, -edge - 1 : -1].flip(1)], dim=1)
        frames = mirrored.unfold(1, self.size, self.hop)[:, : wavs.shape[1] // self.hop]
        levels = (_power(frames * window, self.size) @ filters).clamp_min(1e-10).log10().transpose(1, 2)
        return (torch.maximum(levels, levels.amax((1, 2), keepdim=True) - 8) + 4) / 4


class StackedLogMels:
    """Clips (B, samples) -> w2v-BERT's (B, T, stride x mels): Kaldi's log-mels, each bin normalised over the clip."""

    def __init__(self, preprocessor: Any, frame: int, shift: int) -> None:
        """`frame` and `shift`: samples of a window, and from one to the next."""
        self.frame, self.shift, self.stride = frame, shift, int(preprocessor.stride)
        self.size = 2 * (len(preprocessor.mel_filters) - 1)  # of the Fourier transform
        self.constants = _Constants(torch.as_tensor(preprocessor.window), preprocessor.mel_filters)

    def __call__(self, wavs: Tensor) -> Tensor:
        """As above."""
        window, filters = self.constants.on(wavs.device)
        frames = (wavs * 2**15).unfold(1, self.frame, self.shift)  # of 16-bit integers, (B, frames, samples)
        frames = frames - frames.mean(2, keepdim=True)
        frames = torch.cat([0.03 * frames[..., :1], frames[..., 1:] - 0.97 * frames[..., :-1]], dim=2)
        mels = (_power(frames * window, self.size) @ filters).clamp_min(1.192092955078125e-07).log()
        var, mean = torch.var_mean(mels, dim=1, correction=1, keepdim=True)
        mels = (mels - mean) / (var + 1e-7).sqrt()  # (B, frames, mels)
        whole = mels.shape[1] // self.stride
        return mels[:, : whole * self.stride].reshape(len(mels), whole, -1)


def _power(frames: Tensor, size: int) -> Tensor:
    """Frames (B, frames, n) -> power spectrum (B, frames, size // 2 + 1)."""
    return torch.view_as_real(torch.fft.rfft(frames, n=size)).square().sum(-1)
