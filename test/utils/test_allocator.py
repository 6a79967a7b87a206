"""Freed memory is kept for the next tensor, and given back on request."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trnet.utils.allocator import give_back_freed_memory

MB = 1 << 20
PROGRAM = """
import json, psutil
from trnet.utils.allocator import give_back_freed_memory, keep_freed_memory
resident = psutil.Process().memory_info
kept = keep_freed_memory()
blocks = [bytearray(b"x") * (1 << 20) for _ in range(200)]
above = bytes(1 << 20)  # keeps the heap as large as it is
whole = resident().rss
del blocks
freed = resident().rss
give_back_freed_memory()
print(json.dumps([kept, whole, freed, resident().rss]))
"""


def test_what_is_kept_is_given_back():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=True)
    kept, whole, freed, given_back = json.loads(done.stdout)
    if not kept:
        pytest.skip("needs the GNU C library")
    assert whole - freed < 20 * MB and freed - given_back > 150 * MB


def test_nothing_happens_where_nothing_is_kept(monkeypatch):
    monkeypatch.setattr("trnet.utils.allocator._kept.is_set", lambda: False)
    monkeypatch.setattr("ctypes.CDLL", None)  # a call would fail
    give_back_freed_memory()
