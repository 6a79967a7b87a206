"""CMGAN front-ends with weights that hide nothing."""

import torch
from torch import nn

from trnet.frontend import build_frontend


def off_default(network: nn.Module) -> None:
    """Move every norm, bias and statistic off its default."""
    for parameter in network.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)


def build(seed=0, **conf):
    """A front-end off its defaults, the same weights at every call."""
    torch.manual_seed(seed)
    frontend = build_frontend({"frontend": "cmgan", "frontend_conf": {"init": "random", **conf}})
    off_default(frontend)
    return frontend


def noise(*shape: int) -> torch.Tensor:
    """Samples, always the same."""
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))
