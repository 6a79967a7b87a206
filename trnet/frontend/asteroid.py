"""Models of Asteroid: Pariente et al., "Asteroid: the PyTorch-based audio source separation toolkit", Interspeech 2020.

Any one-source model that ``asteroid.models.BaseModel.from_pretrained`` takes, for example
``JorisCos/DCCRNet_Libri1Mix_enhsingle_16k``, or a file that ``torch.save(model.serialize(), file)`` wrote.
"""

from __future__ import annotations

from torch import Tensor, nn

from trnet.frontend.packages import import_package
from trnet.frontend.pretrained import PretrainedFrontEnd


class AsteroidFrontEnd(PretrainedFrontEnd):
    """A model of Asteroid."""

    toolkit = "asteroid"

    def load(self, model: str) -> tuple[nn.Module, float | None]:
        """The network and its rate, Hz."""
        models = import_package("asteroid", "asteroid.models", "asteroid", "pip install 'trnet[asteroid]'")
        network = models.BaseModel.from_pretrained(model)
        return network, network.sample_rate

    def apply(self, clips: Tensor) -> Tensor:
        """(1, samples) to (sources, samples)."""
        return self.network.forward_wav(clips)[0]
