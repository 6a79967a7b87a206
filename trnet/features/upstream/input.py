"""What each family of pretrained networks reads of audio, and how many frames it gives for it."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from trnet.features.upstream.log_mels import StackedLogMels, WhisperLogMels
from trnet.features.upstream.weights import KEY, PREPROCESSOR, load_config, load_preprocessor, reported
from trnet.utils.errors import TrnetError

COPY = "copy the network's own there"


class NetworkInput(Protocol):
    """From clips of one length to the arguments of a network's forward."""

    def num_frames(self, samples: int) -> int:
        """Frames (vectors of a hidden state) of a clip of so many samples; 0 if it is too short for one."""

    def __call__(self, wavs: Tensor) -> dict[str, Tensor]:
        """Clips (B, samples) float32 in [-1, 1] -> arguments of the network's forward."""

    def differentiable(self, wavs: Tensor) -> dict[str, Tensor]:
        """The same, through which gradients pass to the clips, on their device; it may differ in last digits."""


class WhisperInput:
    """Whisper's own log-mels (B, mels, 2 T), two of them a frame, not padded to 30 s."""

    def __init__(self, preprocessor: Any) -> None:
        self.preprocessor = preprocessor
        self._log_mels = WhisperLogMels(preprocessor)

    def num_frames(self, samples: int) -> int:
        """One for every two log-mels."""
        return samples // self.preprocessor.hop_length // 2

    def __call__(self, wavs: Tensor) -> dict[str, Tensor]:
        """Clips (B, samples) -> log-mels, each clip's largest value its reference."""
        rate = self.preprocessor.sampling_rate
        mels = self.preprocessor(
            list(wavs.cpu().numpy()), sampling_rate=rate, padding=False, truncation=False, return_tensors="pt"
        )
        return {"input_features": mels["input_features"][..., : 2 * self.num_frames(wavs.shape[1])]}

    def differentiable(self, wavs: Tensor) -> dict[str, Tensor]:
        """The same, through which gradients pass."""
        return {"input_features": self._log_mels(wavs)[..., : 2 * self.num_frames(wavs.shape[1])]}


class SamplesInput:
    """Samples, of unit variance where the network was trained on that: wav2vec 2.0, HuBERT, WavLM, data2vec."""

    def __init__(self, config: Any, preprocessor: Any) -> None:
        self.convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.normalise = bool(getattr(preprocessor, "do_normalize", False))

    def num_frames(self, samples: int) -> int:
        """Those of the convolutions, which do not pad."""
        for kernel, stride in self.convolutions:
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    def __call__(self, wavs: Tensor) -> dict[str, Tensor]:
        """Clips (B, samples) -> the same, normalised."""
        if self.normalise:
            var, mean = torch.var_mean(wavs, dim=1, correction=0, keepdim=True)
            wavs = (wavs - mean) / (var + 1e-7).sqrt()
        return {"input_values": wavs}

    differentiable = __call__


class StackedMelsInput:
    """Log-mels of 25 ms every 10 ms, each bin normalised over the clip, two of them a frame: w2v-BERT 2.0."""

    FRAME, SHIFT = 400, 160  # samples at 16 kHz

    def __init__(self, preprocessor: Any) -> None:
        self.preprocessor = preprocessor
        self._log_mels = StackedLogMels(preprocessor, self.FRAME, self.SHIFT)

    def num_frames(self, samples: int) -> int:
        """One for every two whole windows; at least two windows, as their variance is taken."""
        return max(0, 1 + (samples - self.FRAME) // self.SHIFT) // int(self.preprocessor.stride)

    def __call__(self, wavs: Tensor) -> dict[str, Tensor]:
        """Clips (B, samples) -> stacked log-mels (B, T, 2 mels)."""
        rate = self.preprocessor.sampling_rate
        clips: list[np.ndarray] = list(wavs.cpu().numpy())
        mels = self.preprocessor(clips, sampling_rate=rate, padding=False, pad_to_multiple_of=None, return_tensors="pt")
        return {"input_features": mels["input_features"][:, : self.num_frames(wavs.shape[1])]}

    def differentiable(self, wavs: Tensor) -> dict[str, Tensor]:
        """The same, through which gradients pass."""
        return {"input_features": self._log_mels(wavs)[:, : self.num_frames(wavs.shape[1])]}


def make_input(folder: Path, sample_rate: int) -> NetworkInput:
    """What the network in a folder reads.

    Raises:
        TrnetError: For a network that trnet does not know how to give audio to, of another sampling rate, or with a
            preprocessor that is missing or of another network.
    """
    config, preprocessor = load_config(folder), load_preprocessor(folder)
    rate = getattr(preprocessor, "sampling_rate", 16000)
    if rate != sample_rate:
        raise TrnetError(f"features.sample_rate: {folder} works at {rate} Hz; set it to that")
    kind = config.model_type
    if hasattr(config, "conv_kernel") and hasattr(config, "conv_stride") and not hasattr(config, "squeeze_factor"):
        if preprocessor is None and getattr(config, "feat_extract_norm", "") == "layer":
            raise TrnetError(f"{KEY}: {folder} has no {PREPROCESSOR}, which says if samples are normalised; {COPY}")
        _check_values(folder, getattr(preprocessor, "feature_size", 1), 1)
        return SamplesInput(config, preprocessor)
    if kind not in ("whisper", "wav2vec2-bert"):
        raise TrnetError(
            f"{KEY}: {folder}: networks of type {kind} are not known here; name one of type whisper, wav2vec2, hubert, "
            "wavlm, data2vec-audio or wav2vec2-bert"
        )
    if preprocessor is None:
        raise TrnetError(f"{KEY}: {folder} has no {PREPROCESSOR}; {COPY}")
    with reported(folder, PREPROCESSOR):  # one of another family lacks what is read of it
        if kind == "whisper":
            _check_values(folder, preprocessor.feature_size, config.num_mel_bins)
            return WhisperInput(preprocessor)
        stacked = preprocessor.num_mel_bins * preprocessor.stride
        _check_values(folder, stacked, config.feature_projection_input_dim)
        return StackedMelsInput(preprocessor)


def _check_values(folder: Path, given: int, wanted: int) -> None:
    if given != wanted:
        raise TrnetError(
            f"{KEY}: {folder}: {PREPROCESSOR} is of another network ({given} values at a time, not {wanted}); {COPY}"
        )
