"""A convolution as a product of windows is the convolution, with its gradients."""

import pytest
import torch
from torch import nn

from trnet.model.encoders.windows import by_windows


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("size", [(7, 10), (8, 9), (1, 2)])
def test_windows_give_the_convolution_and_its_gradients(kernel, channels, size):
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 6, kernel, stride=2, padding=kernel // 2, bias=False).double()
    x = torch.randn(2, channels, *size, dtype=torch.float64, requires_grad=True)
    found = []
    for y in (conv(x), by_windows(conv, x)):
        grads = torch.autograd.grad(y.square().sum(), (x, conv.weight))
        found.append((y.detach(), *grads))
    for wanted, got in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
