"""Features of clips, those of one length together where an extractor can."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from trnet.features import Extractor
from trnet.utils.device import in_halves


@torch.inference_mode()
def extract(extractor: Extractor, clips: Sequence[Tensor]) -> list[Tensor]:
    """Features (frames, dim) float32 of each clip (samples,) float32 in [-1, 1]."""
    batch = getattr(extractor, "batch", None)
    if batch is None:
        return [extractor(clip) for clip in clips]
    by_length = defaultdict[int, list[int]](list)
    for number, clip in enumerate(clips):
        by_length[len(clip)].append(number)
    found: dict[int, Tensor] = {}
    for numbers in by_length.values():
        found |= zip(numbers, in_halves(batch, [clips[number] for number in numbers]), strict=True)
    return [found[number] for number in range(len(clips))]
