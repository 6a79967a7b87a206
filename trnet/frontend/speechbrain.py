"""Models of SpeechBrain: Ravanelli et al., "SpeechBrain: A general-purpose speech toolkit", arXiv 2106.04624.

Any one-source model for the interfaces below, for example ``speechbrain/sepformer-whamr16k`` or
``speechbrain/metricgan-plus-voicebank``, or a folder with its hyperparams.yaml and checkpoints. That YAML names code
that runs when it is read: use models of people you trust.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from trnet.frontend.checkpoint import load_strict
from trnet.frontend.packages import import_package
from trnet.frontend.pretrained import PretrainedFrontEnd

Interface = Literal["SepformerSeparation", "SpectralMaskEnhancement", "WaveformEnhancement"]


class SpeechbrainFrontEnd(PretrainedFrontEnd):
    """A model of SpeechBrain."""

    toolkit = "speechbrain"

    def __init__(
        self,
        model: str,
        interface: Interface = "SepformerSeparation",
        native_rate: int | None = None,
        level_dbfs: float | None = None,
        fit_scale: bool = True,
    ) -> None:
        """Load the model; the other options as for :class:`PretrainedFrontEnd`.

        Args:
            model: a folder, or the id of a model on the Hugging Face hub.
            interface: class of ``speechbrain.inference`` for the model, as on its page on the hub.
        """
        self._interface = interface
        super().__init__(model, native_rate, level_dbfs, fit_scale)

    def load(self, model: str) -> tuple[Any, int | None]:
        """The interface's object, which is the network, and its sampling rate, Hz.

        SpeechBrain only warns of keys that do not fit: the weights are loaded again here, strictly.
        """
        inference = import_package("speechbrain", "speechbrain.inference")
        checkpoints = import_package("speechbrain", "speechbrain.utils.checkpoints")
        network = getattr(inference, self._interface).from_hparams(source=model, run_opts={"device": "cpu"})
        pretrainer = network.hparams.pretrainer
        for name, part in pretrainer.loadables.items():
            path = pretrainer.paths[name]
            load_strict(part, checkpoints.torch_patched_state_dict_load(path), path)
        return network, getattr(network.hparams, "sample_rate", None)

    def separate(self, clips: Tensor) -> Tensor:
        """(1, samples) to (sources, samples)."""
        self.network.device = str(clips.device)  # where it moves its input
        if self._interface == "SepformerSeparation":
            return self.network.separate_batch(clips)[0].T
        return self.network.enhance_batch(clips, lengths=torch.ones(1, device=clips.device))
