"""The file of a trained front-end, for ``frontend_conf: {checkpoint: FILE}``."""

import io
from pathlib import Path

import torch

from trnet.enh.methods.base import Method
from trnet.frontend.checkpoint import FORMAT
from trnet.runs.checkpoint import way_out
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_bytes
from trnet.utils.state_dict import damage_of


def save_frontend(path: Path, name: str, method: Method) -> None:
    """Write a network with its configuration in the format ``trnet-enh-1``, whole or not at all."""
    state = {key: tensor.detach().cpu().clone() for key, tensor in method.network.state_dict().items()}
    content = {"format": FORMAT, "frontend": name, "conf": method.frontend.network_config.plain(), "state_dict": state}
    encoded = io.BytesIO()
    torch.save(content, encoded)
    write_bytes(path, encoded.getvalue())


def check_frontend_file(path: Path) -> None:
    """Check that the file exists and is whole.

    Raises:
        TrnetError: If it does not, or is damaged.
    """
    try:
        with open(path, "rb") as stream:
            damage = damage_of(stream)
    except FileNotFoundError:
        damage = "missing, though last.pt exists"
    if damage:
        raise TrnetError(f"{path}: is no readable checkpoint ({damage}); {way_out(path)}")
