"""What a network hears at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from trnet.conditions import Condition
from trnet.model.frames import ValidFrames
from trnet.utils.device import send


def pad(matrices: Sequence[np.ndarray]) -> Tensor:
    """Matrices (t_i, F) -> (B, max t_i, F), zeros behind the end."""
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(m.copy()) for m in matrices], batch_first=True)


@dataclass(frozen=True)
class Batch:
    """Utterances under their conditions, padded with zeros to the longest.

    items: B of (utterance, condition). lengths: (B,) frames, on the host. labels: (B,) class indices. noisy, enhanced,
    clean: (B, T, F) float32 or None where not asked for; clean is X_s, the target. h_s: (B, D) or None.
    """

    items: tuple[tuple[str, Condition], ...]
    lengths: Tensor
    labels: Tensor
    noisy: Tensor | None = None
    enhanced: Tensor | None = None
    clean: Tensor | None = None
    h_s: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device, all but its lengths."""
        moved = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "lengths"}
        return replace(self, **{k: send(v, device) for k, v in moved.items() if isinstance(v, Tensor)})

    def real_frames(self) -> ValidFrames:
        """The real frames of its features."""
        there = next(x for x in (self.noisy, self.enhanced, self.clean) if x is not None)
        return ValidFrames(self.lengths, there.shape[1], there.device)
