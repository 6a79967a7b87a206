"""Which CMGAN."""

from __future__ import annotations

from dataclasses import dataclass

from trnet.config import Section, within
from trnet.frontend.cmgan.conformer import HEADS


@dataclass(frozen=True)
class CmganSizes(Section):
    """What a CMGAN is built from; the default is the paper's.

    Attributes:
        num_channel: channels of the network, a multiple of the 4 heads.
    """

    num_channel: int = within(64, 1, 1024)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_channel % HEADS:
            raise ValueError(f"num_channel {self.num_channel}: give a multiple of {HEADS}, 64 for the paper's model")
