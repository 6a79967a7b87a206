"""Tensors by name in the format safetensors (github.com/huggingface/safetensors), in memory.

Eight bytes with the header's length, the header (JSON: type, shape and place of each tensor), the numbers. Nothing in
it can run. The same tensors give the same bytes; reading takes nothing that is not accounted for to the byte.
"""

import json
import math
from typing import Any

import torch
from torch import Tensor

from trnet.errors import TrnetError

TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {kind: name for name, kind in TYPES.items()}
LONGEST_HEADER = 10_000_000  # bytes


def write_tensors(tensors: dict[str, Tensor]) -> bytes:
    """The file's bytes; tensors of the widest type first, so that each is aligned, and then by name."""
    header: dict[str, Any] = {}
    chunks, place = [], 0
    for name in sorted(tensors, key=lambda key: (-tensors[key].element_size(), key)):
        tensor = tensors[name].detach().cpu().contiguous()
        chunk = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        places = [place, place + len(chunk)]
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": places}
        chunks.append(chunk)
        place += len(chunk)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *chunks])


def read_tensors(content: bytes, name: str) -> dict[str, Tensor]:
    """The tensors of a file's bytes, on the CPU.

    Args:
        content: the whole file.
        name: what to call it in errors.

    Raises: TrnetError if it is anything but one such file, whole, without holes, overlaps or rest.
    """
    try:
        return _read(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise TrnetError(f"{name}: is no safetensors file ({reason}); pack the model again") from None


def _read(content: bytes) -> dict[str, Tensor]:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(LONGEST_HEADER, len(content) - 8):
        raise ValueError("cut short, or something else")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    data = memoryview(content)[8 + size :]
    tensors, place = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        kind, shape, (start, stop) = TYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"shape {shape} of {name}")
        if start != place or stop - start != math.prod(shape) * kind.itemsize or stop > len(data):
            raise ValueError(f"{name} lies at bytes {start} to {stop}")
        # bytearray: torch wants memory that may be written to
        flat = torch.frombuffer(bytearray(data[start:stop]), dtype=kind) if stop > start else torch.empty(0, dtype=kind)
        tensors[name], place = flat.reshape(shape), stop
    if place != len(data):
        raise ValueError(f"{len(data) - place} bytes behind the last tensor")
    return tensors
