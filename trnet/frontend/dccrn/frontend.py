"""The front-end ``dccrn``."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from trnet.frontend.dccrn.asteroid import asteroid_parts
from trnet.frontend.dccrn.config import DccrnSizes
from trnet.frontend.dccrn.network import Dccrn
from trnet.frontend.trainable import TrainableFrontEnd


class DccrnFrontEnd(TrainableFrontEnd):
    """DCCRN with weights of asteroid's or trained with trnet; 16 kHz.

    With asteroid's weights the output is asteroid's ``forward``: the first and last 18.75 ms of a clip fade in and out,
    as the frames there overlap less. Where asteroid leaves the samples after the last whole hop silent, silence is put
    behind the clip, so that they are enhanced like the rest.
    """

    kind = "dccrn"
    sizes_type = DccrnSizes

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
            init: as for :class:`TrainableFrontEnd`, like ``level_dbfs``.
            architecture: as for :class:`DccrnSizes`, like the five options after it; a checkpoint holds them itself.
            n_fft: points of the Fourier transform.
            window: samples in a frame.
            hop: samples between frames.
            mask_bound: ``tanh``, ``sigmoid`` or ``none``.
            pad_ends: put silence at both ends of a clip.
            level_dbfs: RMS at which the network hears a clip.

        Raises:
            TrnetError: as for :class:`TrainableFrontEnd`.
        """
        sizes = {"architecture": architecture, "n_fft": n_fft, "window": window, "hop": hop}
        super().__init__(
            checkpoint, init, {**sizes, "mask_bound": mask_bound, "pad_ends": pad_ends}, level_dbfs=level_dbfs
        )

    def make_network(self, sizes: DccrnSizes) -> Dccrn:
        """The untrained network of these sizes."""
        return Dccrn(sizes)

    def foreign(self, loaded: Any, path: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Sizes and state_dict of a checkpoint of asteroid's."""
        return asteroid_parts(loaded, path) if isinstance(loaded, dict) and "model_name" in loaded else None
