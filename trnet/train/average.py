"""The moving average of a network's weights."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class MovingAverage(AveragedModel):
    """PyTorch's average of parameters and buffers, exponential, without its wait for a GPU at each step.

    Whole numbers (how many batches a norm has seen) are the network's own.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, use_buffers=True)
        self.average = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights after a step in; those of the first step are the average so far."""
        mine, theirs = ([*each.parameters(), *each.buffers()] for each in (self.module, model))
        first = self.n_averaged == 0  # it is on the host
        copied = [i for i, x in enumerate(mine) if first or not x.is_floating_point()]
        mixed = [i for i, x in enumerate(mine) if not first and x.is_floating_point()]
        for i in copied:
            mine[i].copy_(theirs[i])
        if mixed:
            self.average([mine[i] for i in mixed], [theirs[i] for i in mixed], None)
        self.n_averaged += 1
