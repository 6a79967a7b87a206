"""Features of clips, those of one length together where an extractor can."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trnet.features import Extractor


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
        found |= zip(numbers, _in_halves(batch, [clips[number] for number in numbers]), strict=True)
    return [found[number] for number in range(len(clips))]


def _in_halves(batch: Callable[[Sequence[Tensor]], list[Tensor]], clips: Sequence[Tensor]) -> list[Tensor]:
    """Features of clips of one length, in halves where a GPU's memory holds no more."""
    try:
        return batch(clips)
    except torch.OutOfMemoryError:
        if len(clips) == 1:
            raise
    half = len(clips) // 2  # here, where the exception no longer holds the tensors of what failed
    return [*_in_halves(batch, clips[:half]), *_in_halves(batch, clips[half:])]
