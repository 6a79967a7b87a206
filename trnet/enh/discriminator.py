"""The metric discriminator of CMGAN, a differentiable estimate of the PESQ of a spectrum."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

PESQ_FLOOR, PESQ_RANGE = 1.0, 3.5


def normalised_pesq(pesq: Tensor) -> Tensor:
    """PESQ on the discriminator's scale: 1 is 0, 4.5 is 1."""
    return (pesq - PESQ_FLOOR) / PESQ_RANGE


class LearnableSigmoid(nn.Module):
    """A sigmoid with a learnt slope (MetricGAN+, Fu et al., Interspeech 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1) to the same shape, in (0, 1)."""
        return (self.slope * x).sigmoid()


class MetricDiscriminator(nn.Module):
    """Four strided convolutions, a maximum over each channel, two linear layers (Cao et al. 2022, Section 2.2).

    Spectral norm on all weights, instance norm and PReLU after the convolutions; sizes as in the authors' code.
    """

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        widths = [2, *(channels * 2**i for i in range(4))]
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            conv = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
            layers += [spectral_norm(conv), nn.InstanceNorm2d(after, affine=True), nn.PReLU(after)]
        self.convolutions = nn.Sequential(*layers)
        hidden = 4 * channels
        self.score = nn.Sequential(
            spectral_norm(nn.Linear(widths[-1], hidden)),
            nn.Dropout(0.3),
            nn.PReLU(hidden),
            spectral_norm(nn.Linear(hidden, 1)),
            LearnableSigmoid(),
        )

    def forward(self, clean: Tensor, estimate: Tensor) -> Tensor:
        """The estimated PESQ (batch,) in (0, 1) of compressed magnitudes (batch, frames, bins), 32 of each at least."""
        assert clean.shape == estimate.shape and clean.ndim == 3, (clean.shape, estimate.shape)
        x = self.convolutions(torch.stack([clean, estimate], dim=1))
        return self.score(x.amax(dim=(2, 3)))[:, 0]
