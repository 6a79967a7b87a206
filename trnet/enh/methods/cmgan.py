"""CMGAN: losses of the compressed spectrum and the waveform, and a discriminator that stands for PESQ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trnet.config import Section, within
from trnet.enh.config import EnhConfig
from trnet.enh.discriminator import MetricDiscriminator, normalised_pesq
from trnet.enh.losses import magnitude
from trnet.enh.methods.base import Method, PesqMap
from trnet.frontend.cmgan.spectral import LARGEST_GAIN, compress, decompress, istft, pad_to_hop, stft, unit_rms


@dataclass(frozen=True)
class CmganLoss(Section):
    """Weights of the generator's losses (Cao et al. 2022, Section 2.3, and the authors' code), and the discriminator.

    The paper's L_TF is alpha L_Mag + (1 - alpha) L_RI with alpha = 0.9.
    """

    ri: float = within(0.1, 0, 1e6)  # squared error of real plus that of imaginary parts, compressed
    magnitude: float = within(0.9, 0, 1e6)  # squared error of the compressed magnitudes
    time: float = within(0.2, 0, 1e6)  # L1 of the waveforms at RMS 1
    gan: float = within(0.05, 0, 1e6)  # squared distance of the discriminator's guess from 1; 0: no discriminator
    discriminator_channels: int = within(16, 1, 1024)
    discriminator_lr_factor: float = within(2.0, 1e-6, 1e6)  # its learning rate over the generator's

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ri + self.magnitude + self.time:
            raise ValueError("ri, magnitude, time: must not all be 0")


class CmganMethod(Method):
    """Trains ``cmgan``, generator and discriminator by turns in every step."""

    Loss = CmganLoss

    def __init__(self, config: EnhConfig, pesq_map: PesqMap) -> None:
        super().__init__(config, pesq_map)
        self.discriminator = MetricDiscriminator(self.loss.discriminator_channels)
        if self.loss.gan:
            factor = self.loss.discriminator_lr_factor
            self.optimizers["discriminator"] = self.make_optimizer(self.discriminator, factor)

    def modules(self) -> dict[str, nn.Module]:
        """The generator, and the discriminator where it is used."""
        return super().modules() | ({"discriminator": self.discriminator} if self.loss.gan else {})

    def step(self, noisy: Tensor, clean: Tensor) -> dict[str, float]:
        """Train the generator, then the discriminator on what it said; see :meth:`Method.step`."""
        scaled, rms = unit_rms(noisy)
        clean = pad_to_hop(clean / rms.clamp_min(1 / LARGEST_GAIN))
        spec = compress(stft(pad_to_hop(scaled)))  # (batch, 3, frames, bins)
        wanted = compress(stft(clean))
        real, imag = self.network(spec)  # (batch, frames, bins) each
        ours, theirs = magnitude(real, imag), wanted[:, 0]
        estimate = istft(decompress(real, imag))
        parts = {
            "ri": functional.mse_loss(real, wanted[:, 1]) + functional.mse_loss(imag, wanted[:, 2]),
            "magnitude": functional.mse_loss(ours, theirs),
            "time": (estimate - clean).abs().mean(),
        }
        if self.loss.gan:
            parts["gan"] = (self.discriminator(theirs, ours) - 1).square().mean()
        parts = {"loss": sum(getattr(self.loss, name) * part for name, part in parts.items()), **parts}
        self.update("network", self.network, parts["loss"])
        said = {name: part.item() for name, part in parts.items()}
        if self.loss.gan:
            said["discriminator"] = self._train_discriminator(theirs, ours.detach(), clean, estimate.detach())
        return said

    def _train_discriminator(self, theirs: Tensor, ours: Tensor, clean: Tensor, estimate: Tensor) -> float:
        """Teach it that clean speech is worth 1 and the generator's its normalised PESQ; the loss.

        Segments in which PESQ finds no speech are left out.
        """
        pairs = list(zip(estimate.cpu().numpy(), clean.cpu().numpy(), strict=True))
        pesq = torch.from_numpy(np.array(self.pesq_map(pairs), dtype=np.float32)).to(ours.device)  # (batch,)
        known = pesq.isfinite()
        if not bool(known.any()):
            return 0.0
        ours, theirs, pesq = ours[known], theirs[known], pesq[known]
        best = (self.discriminator(theirs, theirs) - 1).square().mean()
        loss = best + functional.mse_loss(self.discriminator(theirs, ours), normalised_pesq(pesq))
        self.update("discriminator", self.discriminator, loss)
        return loss.item()
