"""Long clips in overlapping windows with cross-fades."""

from collections.abc import Callable

import torch
from torch import Tensor


def window_starts(total: int, window: int, shared: int, grid: int) -> list[int]:
    """First samples of the fewest windows that overlap by ``shared`` or more, at multiples of ``grid``."""
    assert total % grid == window % grid == 0 and total > window >= shared + grid
    last = (total - window) // grid
    steps = -(-last // ((window - shared) // grid))
    return [i * last // steps * grid for i in range(steps + 1)]


def over_windows(
    wav: Tensor, process: Callable[[Tensor], Tensor], window: int, overlap: int, context: int, grid: int
) -> Tensor:
    """Process a long clip (clips, samples) window by window and cross-fade the results.

    Neighbouring windows overlap by ``overlap + 2 * context`` samples or more. The cross-fade (squared sines) lies in
    the middle, so that no sample is from within ``context`` of a window's end, except at the ends of the clip. All
    numbers are samples; windows start at multiples of ``grid``.
    """
    starts = window_starts(wav.shape[1], window, overlap + 2 * context, grid)
    phase = (torch.arange(overlap, device=wav.device, dtype=wav.dtype) + 0.5) / overlap
    rising = (phase * torch.pi / 2).sin().square()
    out = torch.empty_like(wav)
    out[:, :window] = process(wav[:, :window])
    for before, start in zip(starts, starts[1:], strict=False):
        part = process(wav[:, start : start + window])
        fade = (before + window - start - overlap) // 2  # its first sample, counted from start
        faded = out[:, start + fade : start + fade + overlap]
        faded += rising * (part[:, fade : fade + overlap] - faded)
        out[:, start + fade + overlap : start + window] = part[:, fade + overlap :]
    return out
