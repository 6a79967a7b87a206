"""Resampling by soxr: of whole signals, and block by block with the same result to the bit."""

import math

import numpy as np
import soxr

QUALITY = "HQ"  # linear phase, 20 bits; flat to 0.91 of half the lower rate


class Resampler:
    """Resamples a signal that comes in blocks."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        """Start at the beginning of a signal; rates in Hz."""
        self.rate_in, self.rate_out = rate_in, rate_out
        self._stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality=QUALITY)
        self._read = self._written = 0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """The samples (m,) float32 that a further block (n,) completes; those near its end come with the next one."""
        self._read += len(block)
        out = self._stream.resample_chunk(np.asarray(block, np.float32))
        self._written += len(out)
        return out

    def finish(self) -> np.ndarray:
        """The last samples (m,): all together are ceil(n * rate_out / rate_in) of n."""
        padding = np.zeros(math.ceil(self.rate_in / self.rate_out) + 1, np.float32)  # soxr alone rounds the length
        left = resampled_length(self._read, self.rate_in, self.rate_out) - self._written
        return self._stream.resample_chunk(padding, last=True)[:left]


def resampled_length(samples: int, rate_in: int, rate_out: int) -> int:
    """Samples that so many at `rate_in` become at `rate_out`, rounded up."""
    return -(-samples * rate_out // rate_in)


def resample(samples: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Samples (n,) at `rate_in` Hz as (ceil(n * rate_out / rate_in),) float32 at `rate_out` Hz."""
    if rate_in == rate_out:
        return samples
    resampler = Resampler(rate_in, rate_out)
    return np.concatenate([resampler(samples), resampler.finish()])
