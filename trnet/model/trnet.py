"""TRNet (Chen & Zhang): SNR gate, SER module and bridge; its training losses are in trnet.train.losses."""

from typing import NamedTuple

from torch import Tensor, nn

from trnet.config.model import GateConf
from trnet.model.bridge import Bridge
from trnet.model.frames import ValidFrames
from trnet.model.ser import SER
from trnet.model.snr_gate import SNRGate


class TRNetOutput(NamedTuple):
    """What TRNet gives.

    logits (B, classes); c (B,); compensated X~ (B, T, F) of Eq. 4; encoded (B, T', D'), what the encoder makes of X~;
    h (B, D), the calibrated h~ of Eq. 6 (without a bridge the pooled h).
    """

    logits: Tensor
    c: Tensor
    compensated: Tensor
    encoded: Tensor
    h: Tensor


class Mels(NamedTuple):
    """Noisy and enhanced log-mels (B, T", mels) that the gate reads, and their real frames."""

    noisy: Tensor
    enhanced: Tensor
    frames: ValidFrames


class TRNet(nn.Module):
    """Figure 1 from the spectrograms on, without the teacher."""

    def __init__(self, num_mels: int, ser: SER, gate: GateConf, bridge: bool, dim: int = 0) -> None:
        """`dim`: of the features, where the gate compares these beside log-mels."""
        super().__init__()
        self.gate = SNRGate(num_mels, gate, dim)
        self.ser = ser
        self.bridge = Bridge(ser.h_dim) if bridge else None

    def refine(self, noisy: Tensor, enhanced: Tensor, frames: ValidFrames, mels: Mels | None = None) -> TRNetOutput:
        """Eq. 1 to 6.

        Args:
            noisy: X (B, T, F), the features of noisy speech.
            enhanced: X_e, of enhanced speech.
            frames: Their real frames.
            mels: What the gate reads where X and X_e are no log-mels.
        """
        assert noisy.shape == enhanced.shape, (noisy.shape, enhanced.shape)
        c, compensated = self.gate(noisy, enhanced, frames, mels)  # Eq. 1-4
        encoded, encoded_frames = self.ser.encode(compensated, frames)
        h = self.ser.pooling(encoded, encoded_frames)
        if self.bridge is not None:
            h = self.bridge(h, c)  # Eq. 6
        return TRNetOutput(self.ser.classifier(h), c, compensated, encoded, h)

    def forward(self, noisy: Tensor, enhanced: Tensor, lengths: Tensor) -> TRNetOutput:
        """Noisy and enhanced log-mels X, X_e (B, T, F) and frame counts (B,), best on the host."""
        assert lengths.shape == noisy.shape[:1], (noisy.shape, lengths.shape)
        return self.refine(noisy, enhanced, ValidFrames(lengths, noisy.shape[1], noisy.device))
