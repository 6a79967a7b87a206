"""No enhancement: the baseline."""

from torch import Tensor

from trnet.frontend.base import FrontEnd


class NoFrontEnd(FrontEnd):
    """Identity (samples past a clip's length become 0)."""

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """Return ``wav``, (clips, samples), unchanged."""
        return wav
