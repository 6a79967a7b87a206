"""The front-end ``dccrn``."""

from __future__ import annotations

from torch import Tensor

from trnet.frontend.base import FrontEnd, at_level, check_level
from trnet.frontend.checkpoint import file_sha256, has_checkpoint, load_file, load_strict, trained_parts
from trnet.frontend.dccrn.asteroid import asteroid_parts
from trnet.frontend.dccrn.network import Dccrn
from trnet.frontend.dccrn.sizes import DccrnSizes
from trnet.frontend.sizes import given_sizes, stored_sizes


class DccrnFrontEnd(FrontEnd):
    """DCCRN with weights of asteroid's or trained with trnet; 16 kHz.

    With asteroid's weights the output is asteroid's ``forward``: the first and last 18.75 ms of a clip fade in and out,
    as the frames there overlap less. Where asteroid leaves the samples after the last whole hop silent, silence is put
    behind the clip, so that they are enhanced like the rest.
    """

    sample_rate = 16000

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
            architecture: as for :class:`DccrnSizes`, like the five options after it; a checkpoint holds them itself.
            n_fft: points of the Fourier transform.
            window: samples in a frame.
            hop: samples between frames.
            mask_bound: ``tanh``, ``sigmoid`` or ``none``.
            pad_ends: put silence at both ends of a clip.
            level_dbfs: bring each clip to this RMS, dB re full scale, for the network and back after it; None: as it
                is.

        Raises:
            TrnetError: no weights named, options out of range or unlike the checkpoint's, or a checkpoint of something
                else or for another sampling rate.
        """
        options = {
            "architecture": architecture,
            "n_fft": n_fft,
            "window": window,
            "hop": hop,
            "mask_bound": mask_bound,
            "pad_ends": pad_ends,
        }
        super().__init__({"checkpoint": checkpoint, "init": init, **options, "level_dbfs": level_dbfs})
        check_level("dccrn", level_dbfs)
        self.level_dbfs = level_dbfs
        if has_checkpoint("dccrn", checkpoint, init):
            loaded = load_file(checkpoint)
            if isinstance(loaded, dict) and "model_name" in loaded:
                stored, state = asteroid_parts(loaded, checkpoint)
            else:
                stored, state = trained_parts(loaded, checkpoint, "dccrn")
            self.network = Dccrn(stored_sizes(DccrnSizes, "dccrn", stored, options, checkpoint))
            load_strict(self.network, state, checkpoint)
            self.checkpoint_sha256 = file_sha256(checkpoint)
        else:
            self.network = Dccrn(given_sizes(DccrnSizes, "dccrn", options))
        self.requires_grad_(False)
        self.eval()

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """(clips, samples) to the same shape; 16 kHz."""
        scaled, gain = at_level(wav, self.level_dbfs)
        return self.network(scaled) / gain
