"""The front-end ``dccrn``."""

from typing import Any

from torch import Tensor

from trnet.frontend.dccrn.asteroid import asteroid_parts
from trnet.frontend.dccrn.config import DccrnConfig
from trnet.frontend.dccrn.network import Dccrn
from trnet.frontend.trainable import TrainableFrontEnd


class DccrnFrontEnd(TrainableFrontEnd):
    """DCCRN with weights of asteroid or trained with trnet; 16 kHz.

    With asteroid's weights the output equals asteroid's ``forward``: the first and last 18.75 ms of a clip fade in and
    out, as fewer frames overlap there. Asteroid leaves the samples after the last whole hop silent; here the clip is
    padded, so that they are enhanced too.
    """

    kind = "dccrn"
    config_type = DccrnConfig
    network: Dccrn

    def __init__(
        self,
        checkpoint: str | None = None,
        init: str | None = None,
        architecture: str | None = None,
        n_fft: int | None = None,
        window: int | None = None,
        hop: int | None = None,
        mask_bound: str | None = None,
        pad_ends: bool | None = None,
        level_dbfs: float | None = None,
    ) -> None:
        """Build the network and load it.

        Args:
            checkpoint: a file of asteroid's ``DCCRNet`` or of the format ``trnet-enh-1``.
            init: ``"random"`` for an untrained network instead.
            architecture: see :class:`DccrnConfig`, as for the next five; a checkpoint has its own.
            level_dbfs: RMS of the network's input, dB re full scale; None: unchanged.
        """
        config = {"architecture": architecture, "n_fft": n_fft, "window": window, "hop": hop}
        config |= {"mask_bound": mask_bound, "pad_ends": pad_ends}
        super().__init__(checkpoint, init, config, level_dbfs=level_dbfs)

    def make_network(self, config: DccrnConfig) -> Dccrn:
        """The untrained network."""
        return Dccrn(config)

    def published_parts(self, loaded: Any, path: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Configuration and state_dict of a checkpoint of asteroid's."""
        return asteroid_parts(loaded, path) if isinstance(loaded, dict) and "model_name" in loaded else None
