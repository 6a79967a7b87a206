"""CMGAN: losses of the compressed spectrum and the waveform, and a discriminator that estimates PESQ."""

from typing import Self

import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional

from trnet.config import Section, problem, within
from trnet.enh.config import EnhConfig
from trnet.enh.discriminator import MetricDiscriminator, normalised_pesq
from trnet.enh.losses import magnitude
from trnet.enh.methods.base import Method, PesqMap
from trnet.frontend.cmgan.spectral import LARGEST_GAIN, compress, decompress, istft, pad_to_hop, stft, unit_rms


class CmganLoss(Section):
    """Weights of the generator's losses (Cao et al. 2022, Section 2.3, and the authors' code), and the discriminator.

    The paper's L_TF is alpha L_Mag + (1 - alpha) L_RI with alpha = 0.9.
    """

    ri: float = within(0.1, 0, 1e6)  # squared error of real plus that of imaginary parts, compressed
    magnitude: float = within(0.9, 0, 1e6)  # squared error of the compressed magnitudes
    time: float = within(0.2, 0, 1e6)  # L1 of the waveforms at RMS 1
    gan: float = within(0.05, 0, 1e6)  # squared distance of the discriminator's estimate from 1; 0: no discriminator
    discriminator_channels: int = within(16, 1, 1024)
    discriminator_lr_factor: float = within(2.0, 1e-6, 1e6)  # its learning rate over the generator's

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if not self.ri + self.magnitude + self.time:
            raise problem("ri", "must not be 0 if magnitude and time are")
        return self


class CmganMethod(Method):
    """Trains ``cmgan``: in every step the generator, then the discriminator."""

    loss_type = CmganLoss
    loss: CmganLoss

    def __init__(self, config: EnhConfig, pesq_map: PesqMap) -> None:
        super().__init__(config, pesq_map)
        self.discriminator = MetricDiscriminator(self.loss.discriminator_channels)
        if self.loss.gan:
            factor = self.loss.discriminator_lr_factor
            self.optimizers["discriminator"] = self.make_optimizer(self.discriminator, factor)

    def modules(self) -> dict[str, nn.Module]:
        """The generator, and the discriminator where it is used."""
        return super().modules() | ({"discriminator": self.discriminator} if self.loss.gan else {})

    def step(self, noisy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        """Train the generator, then the discriminator on its output; see :meth:`Method.step`."""
        scaled, rms = unit_rms(noisy)
        clean = pad_to_hop(clean / rms.clamp_min(1 / LARGEST_GAIN))
        spec = compress(stft(pad_to_hop(scaled)))  # (batch, 3, frames, bins)
        target = compress(stft(clean))
        real, imag = self.network(spec)  # (batch, frames, bins) each
        ours, theirs = magnitude(real, imag), target[:, 0]
        estimate = istft(decompress(real, imag))
        parts = {
            "ri": functional.mse_loss(real, target[:, 1]) + functional.mse_loss(imag, target[:, 2]),
            "magnitude": functional.mse_loss(ours, theirs),
            "time": (estimate - clean).abs().mean(),
        }
        if self.loss.gan:
            parts["gan"] = (self.discriminator(theirs, ours) - 1).square().mean()
        total = sum((getattr(self.loss, name) * part for name, part in parts.items()), torch.zeros_like(rms.sum()))
        self.update("network", self.network, total)
        losses = {"loss": total, **parts}
        if self.loss.gan:
            losses["discriminator"] = self._train_discriminator(theirs, ours.detach(), clean, estimate.detach())
        return {name: loss.detach() for name, loss in losses.items()}

    def _train_discriminator(self, theirs: Tensor, ours: Tensor, clean: Tensor, estimate: Tensor) -> Tensor:
        """The loss, towards 1 for clean speech and the generator's PESQ; segments without one are left out."""
        pairs = list(zip(estimate.cpu().numpy(), clean.cpu().numpy(), strict=True))
        pesq = torch.from_numpy(np.array(self.pesq_map(pairs), dtype=np.float32)).to(ours.device)  # (batch,)
        known = pesq.isfinite()
        if not bool(known.any()):
            return torch.zeros_like(pesq.sum())
        ours, theirs, pesq = ours[known], theirs[known], pesq[known]
        best = (self.discriminator(theirs, theirs) - 1).square().mean()
        loss = best + functional.mse_loss(self.discriminator(theirs, ours), normalised_pesq(pesq))
        self.update("discriminator", self.discriminator, loss)
        return loss
