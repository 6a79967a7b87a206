"""Configuration of CMGAN."""

from typing import Self

from pydantic import model_validator

from trnet.config.section import Section, problem, within
from trnet.frontend.cmgan.conformer import HEADS


class CmganConfig(Section):
    """The default is the paper's; ``num_channel``: channels of the feature maps, a multiple of the 4 heads."""

    num_channel: int = within(64, 1, 1024)

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        if self.num_channel % HEADS:
            raise problem("num_channel", f"{self.num_channel} is not a multiple of {HEADS}; the paper's is 64")
        return self
