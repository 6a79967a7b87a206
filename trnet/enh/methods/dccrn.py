"""DCCRN: SI-SNR alone (Hu et al., Interspeech 2020, Section 2.5)."""

from torch import Tensor

from trnet.config import Section
from trnet.enh.losses import si_snr_loss
from trnet.enh.methods.base import Method


class DccrnLoss(Section):
    """No settings."""


class DccrnMethod(Method):
    """Trains ``dccrn``."""

    loss_type = DccrnLoss

    def losses(self, noisy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Negative SI-SNR in dB."""
        return {"loss": si_snr_loss(self.network(noisy), clean)}
