"""Models of SpeechBrain: Ravanelli et al., "SpeechBrain: A general-purpose speech toolkit", arXiv 2106.04624.

Any one-source model for the interfaces below, for example ``speechbrain/sepformer-whamr16k`` or
``speechbrain/metricgan-plus-voicebank``, or a folder with its hyperparams.yaml and checkpoints. That YAML names code
that runs when it is read: take models from people you trust.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trnet.frontend.checkpoint import load_strict
from trnet.frontend.packages import import_package
from trnet.frontend.pretrained import PretrainedFrontEnd
from trnet.utils.errors import TrnetError, nearest

INTERFACES = ("SepformerSeparation", "SpectralMaskEnhancement", "WaveformEnhancement")


class SpeechbrainFrontEnd(PretrainedFrontEnd):
    """A model of SpeechBrain."""

    toolkit = "speechbrain"

    def __init__(
        self,
        model: str,
        interface: str = "SepformerSeparation",
        native_rate: int | None = None,
        level_dbfs: float | None = None,
        fit_scale: bool = True,
    ) -> None:
        """Load the model.

        Args:
            model: a folder, or the id of a model on the Hugging Face hub.
            interface: class of ``speechbrain.inference`` that the model is for; its page on the hub names it.
            native_rate: as for :class:`PretrainedFrontEnd`, and so are the others.
            level_dbfs: likewise.
            fit_scale: likewise.

        Raises:
            TrnetError: an unknown interface, or what :class:`PretrainedFrontEnd` refuses.
        """
        if interface not in INTERFACES:
            raise TrnetError(
                f"front-end speechbrain: frontend_conf.interface is {interface!r}{nearest(str(interface), INTERFACES)}"
            )
        self._interface = interface
        super().__init__(model, native_rate, level_dbfs, fit_scale)

    def load(self, model: str) -> tuple[nn.Module, int | None]:
        """The interface's object, which is the network, and its rate, Hz.

        SpeechBrain loads the keys that fit and only warns of the others: they are loaded again here, all or none.
        """
        inference = import_package("speechbrain", "speechbrain.inference", "speechbrain", "speechbrain")
        checkpoints = import_package("speechbrain", "speechbrain.utils.checkpoints", "speechbrain", "speechbrain")
        network = getattr(inference, self._interface).from_hparams(source=model, run_opts={"device": "cpu"})
        pretrainer = network.hparams.pretrainer
        for name, part in pretrainer.loadables.items():
            path = pretrainer.paths[name]
            load_strict(part, checkpoints.torch_patched_state_dict_load(path), path)
        return network, getattr(network.hparams, "sample_rate", None)

    def apply(self, clips: Tensor) -> Tensor:
        """(1, samples) to (sources, samples)."""
        self.network.device = str(clips.device)  # it moves its input there
        if self._interface == "SepformerSeparation":
            return self.network.separate_batch(clips)[0].T
        return self.network.enhance_batch(clips, lengths=torch.ones(1, device=clips.device))
