"""Configuration of DPT-FSNet."""

from typing import Literal, Self

from pydantic import model_validator

from trnet.config.section import Section, problem, within


class DptFsnetConfig(Section):
    """The defaults have 879,460 parameters, the paper's 0.88 M."""

    n_fft: int = within(512, 1, 16_384)  # points of the Fourier transform and samples in a frame
    hop: int = within(256, 1, 16_384)  # samples between frames
    channels: int = within(64, 1, 4096)  # of encoder and decoder; the transformers have half of them
    depth: int = within(4, 1, 12)  # layers of a dense block; the last one's dilation is 2^(depth - 1) frames
    blocks: int = within(4, 1, 64)  # pairs of a sub-band and a full-band transformer
    heads: int = within(4, 1, 256)  # of each attention
    sample_rate: Literal[16000] = 16000  # Hz

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.n_fft % self.hop or self.n_fft < 2 * self.hop or self.n_fft % 2:
            raise problem("hop", f"{self.hop} must divide n_fft {self.n_fft} (even), twice or more")
        if self.channels % (2 * self.heads):
            raise problem("channels", f"{self.channels} must be a multiple of twice the heads, {2 * self.heads}")
        return self

    @property
    def bins(self) -> int:
        """Frequencies of the network's input: all but 0 Hz."""
        return self.n_fft // 2
