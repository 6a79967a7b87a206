"""Models of Asteroid: Pariente et al., "Asteroid: the PyTorch-based audio source separation toolkit", Interspeech 2020.

Any one-source model of ``asteroid.models.BaseModel.from_pretrained``, for example
``JorisCos/DCCRNet_Libri1Mix_enhsingle_16k``, or a file written by ``torch.save(model.serialize(), file)``.
"""

from typing import Any

import numpy as np
from torch import Tensor
from torch.serialization import safe_globals
from torch.torch_version import TorchVersion

from trnet.frontend.packages import import_package
from trnet.frontend.pretrained import PretrainedFrontEnd

_SCALAR: Any = np.float64().__reduce__()[0]
SAFE: list[Any] = [
    TorchVersion,
    np.dtype,
    type(np.dtype(np.float64)),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
]
"""Content of Asteroid's checkpoints beside weights and plain values (the PyTorch version, NumPy scores) that PyTorch's
weights-only loader is to accept."""


class AsteroidFrontEnd(PretrainedFrontEnd):
    """A model of Asteroid."""

    toolkit = "asteroid"

    def load(self, model: str) -> tuple[Any, float | None]:
        """The network and its sampling rate, Hz."""
        models = import_package("asteroid", "asteroid.models")
        with safe_globals(SAFE):
            network = models.BaseModel.from_pretrained(model)
        return network, network.sample_rate

    def separate(self, clips: Tensor) -> Tensor:
        """(1, samples) to (sources, samples)."""
        return self.network.forward_wav(clips)[0]
