"""Models of Asteroid: Pariente et al., "Asteroid: the PyTorch-based audio source separation toolkit", Interspeech 2020.

Any one-source model that ``asteroid.models.BaseModel.from_pretrained`` takes, for example
``JorisCos/DCCRNet_Libri1Mix_enhsingle_16k``, or a file that ``torch.save(model.serialize(), file)`` wrote.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.serialization import safe_globals
from torch.torch_version import TorchVersion

from trnet.frontend.packages import import_package
from trnet.frontend.pretrained import PretrainedFrontEnd

_SCALAR = np.float64().__reduce__()[0]
HARMLESS = [
    TorchVersion,
    np.dtype,
    type(np.dtype(np.float64)),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
]
"""What Asteroid's checkpoints hold besides weights and plain values: the PyTorch they were made with, scores in NumPy
numbers. With these, PyTorch reads them as weights only."""


class AsteroidFrontEnd(PretrainedFrontEnd):
    """A model of Asteroid."""

    toolkit = "asteroid"

    def load(self, model: str) -> tuple[nn.Module, float | None]:
        """The network and its rate, Hz."""
        models = import_package("asteroid", "asteroid.models", "asteroid", "asteroid")
        with safe_globals(HARMLESS):
            network = models.BaseModel.from_pretrained(model)
        return network, network.sample_rate

    def apply(self, clips: Tensor) -> Tensor:
        """(1, samples) to (sources, samples)."""
        return self.network.forward_wav(clips)[0]
