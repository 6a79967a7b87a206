"""Weights that must fit a network key by key, shape by shape."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

LISTED = 12


def listed(names: Iterable[str]) -> str:
    """Names joined for a one-line message; a long list is cut and its length told."""
    names = list(names)
    text = ", ".join(names[:LISTED])
    return f"{text} and {len(names) - LISTED} more" if len(names) > LISTED else text


def misfits(module: nn.Module, state: dict[str, Tensor]) -> str:
    """What keeps a state_dict from being this network's: missing, extra or misshapen keys, weights that are not finite.

    Returns: One line; empty if all is well.
    """
    wanted = module.state_dict()
    faults = []
    if missing := [k for k in wanted if k not in state]:
        faults.append(f"missing {listed(missing)}")
    if extra := [k for k in state if k not in wanted]:
        faults.append(f"extra {listed(extra)}")
    shared = [k for k in wanted if k in state]
    if bent := [k for k in shared if state[k].shape != wanted[k].shape]:
        faults.append("misshapen " + listed(f"{k} {tuple(state[k].shape)} for {tuple(wanted[k].shape)}" for k in bent))
    if wild := [k for k in shared if not bool(torch.isfinite(state[k]).all())]:
        faults.append(f"not finite {listed(wild)}")
    return "; ".join(faults)
