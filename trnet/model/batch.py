"""What a system gets at a time, and what it gives."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trnet.conditions import Condition
from trnet.model.frames import StaticFrames, ValidFrames
from trnet.utils.device import send

ON_HOST = ("lengths", "mel_lengths", "wav_lengths")

HiddenStates = Callable[[Tensor, Tensor], Tensor]
"""Clips (B, samples) and their samples (B,), on the host, to features (B, T, F), through which gradients pass; zeros
behind each end."""


class Output(NamedTuple):
    """What a system gives for a batch.

    logits: (B, classes). h: (B, D), the representation of each utterance. c: (B,), the SNR coefficient, compensated:
    (B, T, F), the features X~ of Eq. 4, and encoded: (B, T', D'), what the encoder makes of them, where the system has
    them.
    """

    logits: Tensor
    h: Tensor
    c: Tensor | None = None
    compensated: Tensor | None = None
    encoded: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Utterances under their conditions, padded with zeros to the longest or somewhat beyond.

    Attributes:
        items: B of (utterance, condition).
        lengths: (B,) frames, on the host.
        labels: (B,) class indices.
        noisy: (B, T, F) float32 where wanted; so are `enhanced` and `clean`, the target X_s.
        h_s: (B, D), the teacher's representation, or None.
        snr: (B,) dB, infinite for clean speech, or None.
        text: B of (n,) int64 tokens, from 1; None without a transcript.
        noisy_mels: (B, T", mels) for the gate, where the features are others; so are `enhanced_mels`.
        mel_lengths: (B,) frames of these, on the host.
        noisy_wav: (B, samples) for Eq. 4, where it mixes waveforms; so is `enhanced_wav`.
        wav_lengths: (B,) samples of these, on the host.
        hidden_states: What makes features of their mixture.
    """

    items: tuple[tuple[str, Condition], ...]
    lengths: Tensor
    labels: Tensor
    noisy: Tensor | None = None
    enhanced: Tensor | None = None
    clean: Tensor | None = None
    h_s: Tensor | None = None
    snr: Tensor | None = None
    text: tuple[Tensor | None, ...] | None = None
    noisy_mels: Tensor | None = None
    enhanced_mels: Tensor | None = None
    mel_lengths: Tensor | None = None
    noisy_wav: Tensor | None = None
    enhanced_wav: Tensor | None = None
    wav_lengths: Tensor | None = None
    hidden_states: HiddenStates | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device, all but what stays on the host."""
        here: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ON_HOST}
        moved: dict[str, Any] = {k: send(v, device) for k, v in here.items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    @cached_property
    def frames(self) -> ValidFrames:
        """The real frames of its features."""
        return self._frames(ValidFrames)

    @cached_property
    def mel_frames(self) -> ValidFrames:
        """The real frames of what the gate reads."""
        return self._mel_frames(ValidFrames)

    def _frames(self, kind: type[ValidFrames]) -> ValidFrames:
        there = next((x for x in (self.noisy, self.enhanced, self.clean) if x is not None), None)
        if there is None:  # features are made of waveforms
            return kind(self.lengths, int(self.lengths.max()), self.labels.device)
        return kind(self.lengths, there.shape[1], there.device)

    def _mel_frames(self, kind: type[ValidFrames]) -> ValidFrames:
        if self.noisy_mels is None or self.mel_lengths is None:
            return self.frames
        return kind(self.mel_lengths, self.noisy_mels.shape[1], self.noisy_mels.device)


class StaticBatch(Batch):
    """A batch whose lengths are on its device, for networks that are compiled; see `StaticFrames`."""

    @property
    def frames(self) -> ValidFrames:
        """The real frames of its features."""
        return self._frames(StaticFrames)

    @property
    def mel_frames(self) -> ValidFrames:
        """The real frames of what the gate reads."""
        return self._mel_frames(StaticFrames)
