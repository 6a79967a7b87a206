"""Eq. 5, 7 and 8 by hand."""

import math

import pytest
import torch

from trnet.config import System
from trnet.model.frames import ValidFrames
from trnet.train.losses import high_level_loss, low_level_loss, trnet_losses

BOTH = System(alpha=0.5, beta=0.25, bridge=True)


def test_equation_5_is_the_mean_over_real_frames_and_bins():
    """Two frames of (1, 3) and one of (2, 2): (1 + 9 + 1 + 9 + 4 + 4) / 6 values."""
    difference = torch.tensor([[[1.0, 3.0], [1.0, -3.0]], [[2.0, 2.0], [99.0, 99.0]]])
    x_s = torch.randn(2, 2, 2)
    loss = low_level_loss(x_s, x_s + difference, ValidFrames(torch.tensor([2, 1]), 2))
    assert loss.item() == pytest.approx(28 / 6, rel=1e-5)


def test_equation_5_has_no_gradient_behind_the_end():
    compensated = torch.randn(2, 4, 3, requires_grad=True)
    low_level_loss(torch.zeros(2, 4, 3), compensated, ValidFrames(torch.tensor([4, 1]), 4)).backward()
    assert not compensated.grad[1, 1:].any() and compensated.grad[1, 0].all()


def test_equation_7_is_the_mean_over_the_representation():
    loss = high_level_loss(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 2.0], [0.0, 1.0]]))
    assert loss.item() == pytest.approx((4 + 0 + 0 + 1) / 4)


def test_equation_8_weighs_its_parts():
    """Logits (0, ln 3) have probabilities 1/4 and 3/4."""
    logits, labels = torch.tensor([[0.0, math.log(3)]] * 2), torch.tensor([0, 1])
    task = (math.log(4) + math.log(4 / 3)) / 2
    losses = trnet_losses(BOTH, logits, labels, torch.tensor(3.0), torch.tensor(8.0))
    assert losses.task.item() == pytest.approx(task)
    assert losses.total.item() == pytest.approx(task + 0.5 * 3 + 0.25 * 8)
    assert (losses.low.item(), losses.high.item()) == (3, 8)
    alone = trnet_losses(System(), logits, labels)
    assert alone.total.item() == pytest.approx(task) and alone.low.item() == alone.high.item() == 0


def test_losses_are_float32_whatever_autocast_gave():
    logits = torch.tensor([[0.1, 0.2]], dtype=torch.bfloat16)
    half = torch.ones(1, 2, dtype=torch.bfloat16)
    assert trnet_losses(System(), logits, torch.tensor([0])).total.dtype == torch.float32
    assert high_level_loss(torch.zeros(1, 2), half).dtype == torch.float32
