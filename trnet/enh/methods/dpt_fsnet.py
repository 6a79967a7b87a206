"""DPT-FSNet: a loss in the time and in the frequency domain (Dang et al., ICASSP 2022)."""

from typing import Self

from pydantic import model_validator
from torch import Tensor
from torch.nn import functional

from trnet.config import Section, problem, within
from trnet.enh.losses import complex_l1, magnitude_l1, spectrum
from trnet.enh.methods.base import Method


class DptFsnetLoss(Section):
    """Weights: squared error of the waveform; L1 of magnitudes; L1 of real and imaginary parts.

    The authors' code (github.com/dangf15/DPT-FSNet) has the two of the spectrum, 512 points with hop 256, with weight 1
    each, and a loss of the waveform as an option, which is 0 by default here.
    """

    time: float = within(0.0, 0, 1e6)
    magnitude: float = within(1.0, 0, 1e6)
    complex: float = within(1.0, 0, 1e6)

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if not self.time + self.magnitude + self.complex:
            raise problem("time", "must not be 0 if magnitude and complex are")
        return self


class DptFsnetMethod(Method):
    """Trains ``dpt_fsnet``."""

    loss_type = DptFsnetLoss
    loss: DptFsnetLoss

    def losses(self, noisy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """The weighted sum and its parts."""
        weights, estimate = self.loss, self.network(noisy)
        ours, theirs = spectrum(estimate), spectrum(clean)
        parts = {
            "time": functional.mse_loss(estimate, clean),
            "magnitude": magnitude_l1(ours, theirs),
            "complex": complex_l1(ours, theirs),
        }
        total = weights.time * parts["time"] + weights.magnitude * parts["magnitude"]
        return {"loss": total + weights.complex * parts["complex"], **parts}
