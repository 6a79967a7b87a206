"""Configuration of DCCRN: named architectures, the transform around them, the bound of the mask."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import model_validator

from trnet.config.section import Section, problem, within


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


class DccrnConfig(Section):
    """The defaults are the paper's DCCRN-CL.

    Attributes:
        architecture: a name of ``ARCHITECTURES``.
        n_fft: points of the Fourier transform.
        window: samples in a frame.
        hop: samples between frames; divides ``window``.
        mask_bound: as in Choi et al., "Phase-Aware Speech Enhancement with Deep Complex U-Net", ICLR 2019, Section 3.2:
            ``tanh`` (BDT) bounds the magnitude and keeps the phase, which is DCCRN-E; ``sigmoid`` (BDSS) bounds real
            and imaginary part; ``none`` (UBD) is DCCRN-C.
        pad_ends: pad a clip with silence, so that its first and last samples lie in as many frames as all others;
            otherwise they are faded in and out, as in asteroid.
        sample_rate: Hz.
    """

    architecture: Literal["DCCRN-CL", "DCCRN-CL-div4", "mini"] = "DCCRN-CL"
    n_fft: int = within(512, 1, 16_384)
    window: int = within(400, 1, 16_384)
    hop: int = within(100, 1, 16_384)
    mask_bound: Literal["tanh", "sigmoid", "none"] = "tanh"
    pad_ends: bool = True
    sample_rate: Literal[16000] = 16000

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        multiple = 2 * 2 ** len(self.channels)
        if self.n_fft % multiple:
            raise problem("n_fft", f"{self.n_fft} must be a multiple of {multiple} for {self.architecture}")
        if self.window > self.n_fft:
            raise problem("window", f"{self.window} is longer than n_fft {self.n_fft}")
        if self.window % self.hop or self.window < 2 * self.hop:
            raise problem("hop", f"{self.hop} must divide window {self.window}, twice or more")
        return self

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
        """Frequencies of the network's input: all but that at half the sampling rate."""
        return self.n_fft // 2
