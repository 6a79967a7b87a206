"""What a process keeps for long goes back to the system."""

import numpy as np
import psutil

from trnet.utils.allocator import empty_apart

SHAPE = (16 << 20, 2)  # 128 MB of float32


def test_memory_apart_goes_back_when_its_last_view_is_gone():
    process = psutil.Process()
    before = process.memory_info().rss
    array = empty_apart(SHAPE, np.float32)
    assert array.shape == SHAPE and array.dtype == np.float32 and array.flags.writeable
    array.fill(1)
    view = array[1:3]
    del array
    assert process.memory_info().rss > before + 100e6 and view.sum() == 4
    del view
    assert process.memory_info().rss < before + 50e6


def test_nothing_is_an_array_too():
    assert empty_apart((0, 80), np.float16).shape == (0, 80)
