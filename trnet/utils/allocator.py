"""Memory on the CPU: what PyTorch frees is kept for its next tensor, what a process keeps for long lies apart.

Networks of many large intermediate tensors otherwise spend their time in page faults: the same numbers, faster.
"""

import contextlib
import ctypes
import math
import mmap
import sys

import numpy as np
from numpy.typing import DTypeLike

# <malloc.h> of the GNU C library
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory(top_pad: int = 64 << 20) -> bool:
    """Keep freed memory in this process (`top_pad`: least growth in bytes); False where the C library cannot."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, top_pad))
    return all([mallopt(name, value) == 1 for name, value in settings])


def empty_apart(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """An array of zeros, in large pages where there are any, that goes back to the system when it is gone.

    Between the tensors that come and go it would leave a hole, once it is replaced by a larger one.

    Raises:
        OSError: If there is no room.
    """
    size = max(1, math.prod(shape) * np.dtype(dtype).itemsize)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, dtype, math.prod(shape)).reshape(shape)
