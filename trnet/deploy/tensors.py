"""Tensors by name in the format safetensors (github.com/huggingface/safetensors), in memory: nothing in it can run."""

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from trnet.deploy.archive import brief
from trnet.utils.errors import TrnetError


def write_tensors(tensors: dict[str, Tensor]) -> bytes:
    """The file's bytes; the same tensors give the same ones."""
    return safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def read_tensors(content: bytes, name: str) -> dict[str, Tensor]:
    """The tensors of a file's bytes, on the CPU.

    Raises:
        TrnetError: Naming `name` if they are not one whole file.
    """
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, KeyError, ValueError, OverflowError) as error:
        raise TrnetError(f"{name}: is no safetensors file ({brief(error)}); pack the model again") from None
