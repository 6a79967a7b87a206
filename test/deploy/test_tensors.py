"""Tensors in memory in the format safetensors."""

from __future__ import annotations

import json

import pytest
import torch

from trnet.deploy.tensors import read_tensors, write_tensors
from trnet.utils.errors import TrnetError


def test_tensors_come_back_and_the_file_is_what_safetensors_reads():
    state = {
        "b": torch.arange(6, dtype=torch.int64).reshape(2, 3),
        "a": torch.randn(3, 2, 5).to(memory_format=torch.contiguous_format).transpose(0, 1),
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(3.5),
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "flag": torch.tensor([True, False, True]),
    }
    content = write_tensors(state)
    back = read_tensors(content, "x")
    assert back.keys() == state.keys() and all(torch.equal(back[k], state[k]) for k in state)
    assert write_tensors(dict(reversed(state.items()))) == content
    library = pytest.importorskip("safetensors.torch", reason="needs safetensors")
    theirs = library.load(content)
    assert all(torch.equal(theirs[k], state[k]) for k in state)
    saved = library.save({k: v.contiguous() for k, v in state.items()}, {"by": "them"})
    assert all(torch.equal(v, state[k]) for k, v in read_tensors(saved, "x").items())


def header(**entries) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        (10**12).to_bytes(8, "little") + b"{}",
        (5).to_bytes(8, "little") + b"[1,2]",
        (2).to_bytes(8, "little") + b"{}rest",
        header(a=GOOD) + bytes(7),
        header(a=GOOD) + bytes(9),
        header(a=GOOD, b=GOOD) + bytes(8),
        header(a=GOOD | {"data_offsets": [4, 12]}) + bytes(12),
        header(a=GOOD | {"dtype": "F99"}) + bytes(8),
        header(a=GOOD | {"shape": [-2]}) + bytes(8),
        header(a=GOOD | {"shape": [2**40, 2**40]}) + bytes(8),
        header(a=GOOD | {"data_offsets": [0]}) + bytes(8),
        header(a=3),
    ],
)
def test_tensors_that_are_not_accounted_for_are_refused(content):
    with pytest.raises(TrnetError, match=r"w\.safetensors: "):
        read_tensors(content, "w.safetensors")
