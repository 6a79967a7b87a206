"""Memory that PyTorch frees on the CPU is kept for its next tensor instead of going back to the system.

Networks of many large intermediate tensors otherwise spend their time in page faults: the same numbers, faster.
"""

import ctypes
import sys
import threading

# <malloc.h> of the GNU C library
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_kept = threading.Event()  # set: this process keeps it


def keep_freed_memory(top_pad: int = 64 << 20) -> bool:
    """Keep freed memory in this process (`top_pad`: least growth in bytes); False where the C library cannot."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, top_pad))
    kept = all([mallopt(name, value) == 1 for name, value in settings])
    if kept:
        _kept.set()
    return kept


def give_back_freed_memory() -> None:
    """Give what has been kept back to the system, as before a process waits; it takes a third of a second for 3 GB."""
    if _kept.is_set():
        ctypes.CDLL(None).malloc_trim(0)
