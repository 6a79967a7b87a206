"""Weights that must fit a network key by key, shape by shape, and come from a whole file."""

import zipfile
from collections.abc import Mapping
from typing import IO, Any

import torch
from torch import Tensor, nn

from trnet.utils.text import shorten


def misfits(module: nn.Module, state: Mapping[str, Any], exact: bool = True) -> str:
    """What keeps a state_dict from being this network's, in one line; empty if all is well.

    That is missing, extra or misshapen keys, what is no tensor or of another type, and weights that are not finite.
    `exact`: whether float64 or float16 for float32 is a fault, too, not only whole numbers for real ones.
    """
    wanted = module.state_dict()
    faults = []
    if missing := [k for k in wanted if k not in state]:
        faults.append(f"missing {shorten(missing)}")
    if extra := [str(k) for k in state if k not in wanted]:
        faults.append(f"extra {shorten(extra)}")
    shared = [k for k in wanted if k in state]
    if odd := [k for k in shared if not isinstance(state[k], Tensor) or state[k].layout is not torch.strided]:
        faults.append(f"no tensors {shorten(odd)}")
    shared = [k for k in shared if k not in odd]
    if bent := [k for k in shared if state[k].shape != wanted[k].shape]:
        faults.append("misshapen " + shorten(f"{k} {tuple(state[k].shape)} for {tuple(wanted[k].shape)}" for k in bent))
    if other := [k for k in shared if not _same_type(state[k], wanted[k], exact)]:
        faults.append("of another type " + shorten(f"{k} {state[k].dtype} for {wanted[k].dtype}" for k in other))
    if wild := [k for k in shared if k not in other and not bool(torch.isfinite(state[k]).all())]:
        faults.append(f"not finite {shorten(wild)}")
    return "; ".join(faults)


def _same_type(mine: Tensor, wanted: Tensor, exact: bool) -> bool:
    if exact or mine.dtype == wanted.dtype:
        return mine.dtype == wanted.dtype
    return mine.is_floating_point() and wanted.is_floating_point()


def damage_of(stream: IO[bytes]) -> str:
    """What is wrong with a file of ``torch.save`` (`torch.load` ignores its checksums); empty if it is a whole zip."""
    try:
        with zipfile.ZipFile(stream) as archive:
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                return "it is compressed"
            broken = archive.testzip()
    except Exception as error:  # zipfile raises some ten types on what is damaged
        return " ".join(str(error).split()) or type(error).__name__
    return f"the checksum of {broken} is wrong" if broken else ""
