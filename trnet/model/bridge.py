"""Bridge module: Eq. 6 (Section 3.4), FiLM of the representation by the SNR coefficient."""

from torch import Tensor, nn


class Bridge(nn.Module):
    """h~ = FC1(c) * h + FC2(c). Starts as the identity, h~ = h."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(1, dim)
        self.fc2 = nn.Linear(1, dim)
        nn.init.zeros_(self.fc1.weight)
        nn.init.ones_(self.fc1.bias)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        """h (B, D), c (B,) -> h~ (B, D)."""
        assert h.ndim == 2 and c.shape == h.shape[:1], (h.shape, c.shape)
        c = c[:, None]
        return self.fc1(c) * h + self.fc2(c)  # Eq. 6
