"""Models of ESPnet: Li et al., "ESPnet-SE: End-to-end speech enhancement and separation toolkit", SLT 2021.

Any one-source model of an ``enh1`` recipe: its checkpoint (``valid.loss.ave.pth``, with the config.yaml of the training
beside it), or a tag of ``espnet_model_zoo``.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trnet.frontend.checkpoint import load_strict, read_state
from trnet.frontend.packages import import_package
from trnet.frontend.pretrained import PretrainedFrontEnd


class EspnetFrontEnd(PretrainedFrontEnd):
    """A model of ESPnet; its configuration lacks the sampling rate, so ``native_rate`` is required.

    ESPnet builds the network; the weights are loaded here, with weights_only and strictly, which ESPnet does not do.
    """

    toolkit = "espnet"

    def load(self, model: str) -> tuple[Any, None]:
        """The network and None."""
        inference = import_package("espnet", "espnet2.bin.enh_inference")
        if Path(model).exists():
            weights, config = Path(model), Path(model).with_name("config.yaml")
        else:
            zoo = import_package("espnet", "espnet_model_zoo.downloader", "espnet_model_zoo")
            found = zoo.ModelDownloader().download_and_unpack(model)
            weights, config = Path(found["model_file"]), Path(found["train_config"])
        self._inference = inference.SeparateSpeech(train_config=str(config))
        load_strict(self._inference.enh_model, read_state(weights), weights)
        return self._inference.enh_model, None

    def files(self, model: Path) -> dict[str, Path]:
        """The checkpoint and the configuration."""
        return {"model": model, "config": model.with_name("config.yaml")}

    def separate(self, clips: Tensor) -> Tensor:
        """(1, samples) to (sources, samples)."""
        self._inference.device = str(clips.device)  # where it moves its input
        waves = self._inference(clips, fs=self.native_rate)  # one (1, samples) a source
        return torch.cat([torch.as_tensor(wave) for wave in waves]).to(clips.device)
