"""Which CMGAN."""

from __future__ import annotations

from dataclasses import dataclass

from trnet.frontend.cmgan.conformer import HEADS


@dataclass(frozen=True)
class CmganSizes:
    """What a CMGAN is built from; the default is the paper's.

    Attributes:
        num_channel: channels of the network, a multiple of the 4 heads.
    """

    num_channel: int = 64

    def __post_init__(self) -> None:
        if self.num_channel % HEADS:
            raise ValueError(f"num_channel {self.num_channel}: give a multiple of {HEADS}, 64 for the paper's model")
