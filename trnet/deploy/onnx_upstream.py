"""The pretrained network behind a model's features as a function that ONNX can express: samples to hidden states."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, gelu, pad

from trnet.features.upstream import UpstreamExtractor
from trnet.features.upstream.hidden_states import mean_of_layers
from trnet.features.upstream.input import SamplesInput, WhisperInput


class WhisperStates(nn.Module):
    """Samples (B, n) in [-1, 1] -> mean of hidden states (B, T, dim) of Whisper's encoder, its log-mels included."""

    mels: Tensor
    waves: Tensor

    def __init__(self, extractor: UpstreamExtractor, reads: WhisperInput) -> None:
        super().__init__()
        self.network: Any = extractor.network
        self.layers = extractor.layers
        self.hop, size = int(reads.preprocessor.hop_length), int(reads.preprocessor.n_fft)
        self.size = size
        turns = torch.arange(size, dtype=torch.float64) * torch.arange(size // 2 + 1, dtype=torch.float64)[:, None]
        angle = 2 * math.pi * turns / size
        window = torch.hann_window(size, dtype=torch.float64)
        waves = torch.cat([angle.cos() * window, angle.sin() * window])  # (2 bins, size)
        self.register_buffer("waves", waves[:, None].float())
        self.register_buffer("mels", torch.as_tensor(reads.preprocessor.mel_filters).float().T.contiguous())

    def log_mels(self, wav: Tensor) -> Tensor:
        """(B, mels, 2 T), as transformers computes them."""
        padded = pad(wav[:, None], (self.size // 2, self.size // 2), mode="reflect")
        parts = conv1d(padded, self.waves, stride=self.hop).square()  # (B, 2 bins, frames)
        bins = self.size // 2 + 1
        power = (parts[:, :bins] + parts[:, bins:])[..., : 2 * (wav.shape[1] // self.hop // 2)]
        levels = (self.mels @ power).clamp_min(1e-10).log10()
        return (torch.maximum(levels, levels.amax((1, 2), keepdim=True) - 8) + 4) / 4

    def forward(self, wav: Tensor) -> Tensor:
        """As above."""
        network, wanted = self.network, []
        x = gelu(network.conv2(gelu(network.conv1(self.log_mels(wav))))).permute(0, 2, 1)
        x = x + network.embed_positions.weight[: x.shape[1]]
        for number, layer in enumerate(network.layers):
            if number in self.layers:
                wanted.append(x)
            if number == max(self.layers):
                break
            x = layer(x, None)
            x = x[0] if isinstance(x, tuple) else x
        else:
            wanted.append(network.layer_norm(x))
        return torch.stack(wanted).mean(0)


class SamplesStates(nn.Module):
    """Samples (B, n) in [-1, 1] -> mean of hidden states (B, T, dim) of a network that reads samples."""

    def __init__(self, extractor: UpstreamExtractor, normalise: bool) -> None:
        super().__init__()
        self.network, self.normalise = extractor.network, normalise
        self.count, self.layers = extractor.count, extractor.layers

    def forward(self, wav: Tensor) -> Tensor:
        """As above."""
        if self.normalise:
            wav = wav - wav.mean(1, keepdim=True)
            wav = wav / (wav.square().mean(1, keepdim=True) + 1e-7).sqrt()
        return mean_of_layers(self.network, self.count, self.layers, {"input_values": wav})


def states_module(extractor: UpstreamExtractor) -> nn.Module | None:
    """The extractor as a module without windows: clips (B, n) to (B, T, dim); None where there is none for a family."""
    reads = extractor.reads
    if isinstance(reads, WhisperInput):
        return WhisperStates(extractor, reads)
    return SamplesStates(extractor, reads.normalise) if isinstance(reads, SamplesInput) else None
