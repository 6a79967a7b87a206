"""Which DPT-FSNet."""

from __future__ import annotations

from dataclasses import dataclass

from trnet.config import Section, within


@dataclass(frozen=True)
class DptFsnetSizes(Section):
    """What a DPT-FSNet is built from; the defaults have 879,460 parameters, the paper's 0.88 M.

    Attributes:
        n_fft: points of the Fourier transform and samples in a frame.
        hop: samples between frames.
        channels: of encoder and decoder; the transformers work on half of them.
        depth: layers of a dense block; the last one's dilation is 2^(depth - 1) frames.
        blocks: pairs of a sub-band and a full-band transformer.
        heads: of each attention.
        sample_rate: Hz.
    """

    n_fft: int = within(512, 1, 16_384)
    hop: int = within(256, 1, 16_384)
    channels: int = within(64, 1, 4096)
    depth: int = within(4, 1, 12)
    blocks: int = within(4, 1, 64)
    heads: int = within(4, 1, 256)
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_fft % self.hop or self.n_fft < 2 * self.hop or self.n_fft % 2:
            raise ValueError(f"hop {self.hop} has to go twice or more into n_fft {self.n_fft} (even), without a rest")
        if self.channels % (2 * self.heads):
            raise ValueError(f"channels {self.channels} has to be a multiple of twice the heads, {2 * self.heads}")
        if self.sample_rate != 16000:
            raise ValueError(f"sample_rate {self.sample_rate}: trnet enhances at 16000 Hz: use a model for that rate")

    @property
    def bins(self) -> int:
        """Frequencies the network sees: all but 0 Hz."""
        return self.n_fft // 2
