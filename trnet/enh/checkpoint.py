"""The file that a trained front-end is: what ``frontend_conf: {checkpoint: FILE}`` loads."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from trnet.enh.methods.base import Method
from trnet.frontend.checkpoint import FORMAT
from trnet.utils.files import write_bytes


def save_frontend(path: Path, name: str, method: Method) -> None:
    """Write the network with its sizes in the format ``trnet-enh-1``, whole or not at all.

    Args:
        path: the file.
        name: registered name of the front-end.
        method: holds the network.
    """
    state = {key: tensor.detach().cpu().clone() for key, tensor in method.network.state_dict().items()}
    encoded = io.BytesIO()
    torch.save({"format": FORMAT, "frontend": name, "conf": method.sizes(), "state_dict": state}, encoded)
    write_bytes(path, encoded.getvalue())
