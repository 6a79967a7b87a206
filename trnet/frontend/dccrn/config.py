"""Which DCCRN: named architectures, the transform around them, the bound of the mask."""

from __future__ import annotations

from dataclasses import dataclass

from trnet.config import Section, within
from trnet.utils.errors import nearest


@dataclass(frozen=True)
class Architecture:
    """Output channels of each encoder layer and units of each LSTM."""

    channels: tuple[int, ...]
    hidden: int = 128


ARCHITECTURES = {
    "DCCRN-CL": Architecture((16, 32, 64, 128, 128, 128)),
    "DCCRN-CL-div4": Architecture((4, 8, 16, 32, 32, 32), hidden=32),
    "mini": Architecture((4, 8)),
}
"""``DCCRN-CL`` and ``mini`` are asteroid's; ``DCCRN-CL-div4`` has a quarter of the channels and units."""

MASK_BOUNDS = ("tanh", "sigmoid", "none")
"""Of Choi et al., "Phase-Aware Speech Enhancement with Deep Complex U-Net", ICLR 2019, Section 3.2.

``tanh`` (BDT) bounds the magnitude and keeps the phase, which is DCCRN-E; ``sigmoid`` (BDSS) bounds real and imaginary
part; ``none`` (UBD) is DCCRN-C.
"""


@dataclass(frozen=True)
class DccrnSizes(Section):
    """What a DCCRN is built from; the defaults are the paper's DCCRN-CL.

    Attributes:
        architecture: a name of ``ARCHITECTURES``.
        n_fft: points of the Fourier transform.
        window: samples in a frame.
        hop: samples between frames; divides ``window``.
        mask_bound: one of ``MASK_BOUNDS``.
        pad_ends: put silence at both ends of a clip, so that its first and last samples lie in as many frames as all
            others; without it they are faded in and out, as asteroid's are.
        sample_rate: Hz.
    """

    architecture: str = "DCCRN-CL"
    n_fft: int = within(512, 1, 16_384)
    window: int = within(400, 1, 16_384)
    hop: int = within(100, 1, 16_384)
    mask_bound: str = "tanh"
    pad_ends: bool = True
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("architecture", sorted(ARCHITECTURES)), ("mask_bound", MASK_BOUNDS)):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name} {value!r} is unknown{nearest(value, known)}")
        halvings = 2 ** len(self.channels)
        if self.n_fft % (2 * halvings):
            raise ValueError(f"n_fft {self.n_fft}: {self.architecture} needs a multiple of {2 * halvings}")
        if self.window > self.n_fft:
            raise ValueError(f"window {self.window} is longer than n_fft {self.n_fft}: shorten it")
        if self.window % self.hop or self.window < 2 * self.hop:
            raise ValueError(f"hop {self.hop} has to go twice or more into window {self.window}, without a rest")
        if self.sample_rate != 16000:
            raise ValueError(f"sample_rate {self.sample_rate}: trnet enhances at 16000 Hz: use a model for that rate")

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of each encoder layer."""
        return ARCHITECTURES[self.architecture].channels

    @property
    def hidden(self) -> int:
        """Units of each LSTM."""
        return ARCHITECTURES[self.architecture].hidden

    @property
    def bins(self) -> int:
        """Frequencies the network sees: all but that at half the sampling rate."""
        return self.n_fft // 2
