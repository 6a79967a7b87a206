"""Eq. 6."""

import torch

from trnet.model.bridge import Bridge


def test_equation_6_by_hand_and_the_identity_at_the_start():
    bridge = Bridge(2)
    h, c = torch.tensor([[1.0, -2.0], [3.0, 4.0]]), torch.tensor([0.0, 0.5])
    assert torch.equal(bridge(h, c), h)
    with torch.no_grad():
        bridge.fc1.weight.copy_(torch.tensor([[2.0], [0.0]]))
        bridge.fc1.bias.copy_(torch.tensor([1.0, -1.0]))
        bridge.fc2.weight.copy_(torch.tensor([[4.0], [10.0]]))
        bridge.fc2.bias.copy_(torch.tensor([0.5, 0.0]))
    # c = 0: [1 * 1 + 0.5, -1 * -2 + 0]; c = 0.5: [(2 * 0.5 + 1) * 3 + 4 * 0.5 + 0.5, -1 * 4 + 10 * 0.5]
    assert bridge(h, c).tolist() == [[1.5, 2.0], [8.5, 1.0]]
