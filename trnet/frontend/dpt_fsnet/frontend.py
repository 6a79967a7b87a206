"""The front-end ``dpt_fsnet``."""

from __future__ import annotations

from torch import Tensor

from trnet.frontend.base import FrontEnd, at_level, check_level
from trnet.frontend.checkpoint import file_sha256, has_checkpoint, load_file, load_strict, trained_parts
from trnet.frontend.dpt_fsnet.network import DptFsnet
from trnet.frontend.dpt_fsnet.sizes import DptFsnetSizes
from trnet.frontend.sizes import given_sizes, stored_sizes


class DptFsnetFrontEnd(FrontEnd):
    """DPT-FSNet with weights trained with trnet; 16 kHz. Its authors publish none."""

    sample_rate = 16000

    def __init__(
        self,
        checkpoint: str | None = None,
        init: str | None = None,
        n_fft: int | None = None,
        hop: int | None = None,
        channels: int | None = None,
        depth: int | None = None,
        blocks: int | None = None,
        heads: int | None = None,
        level_dbfs: float | None = None,
    ) -> None:
        """Build the network and load it.

        Args:
            checkpoint: a file of the format ``trnet-enh-1``.
            init: ``"random"`` for an untrained network instead.
            n_fft: as for :class:`DptFsnetSizes`, like the five options after it; a checkpoint holds them itself.
            hop: samples between frames.
            channels: of encoder and decoder.
            depth: layers of a dense block.
            blocks: pairs of transformers.
            heads: of each attention.
            level_dbfs: bring each clip to this RMS, dB re full scale, for the network and back after it; None: as it
                is.

        Raises:
            TrnetError: no weights named, options out of range or unlike the checkpoint's, or a checkpoint of something
                else or for another sampling rate.
        """
        options = {
            "n_fft": n_fft,
            "hop": hop,
            "channels": channels,
            "depth": depth,
            "blocks": blocks,
            "heads": heads,
        }
        super().__init__({"checkpoint": checkpoint, "init": init, **options, "level_dbfs": level_dbfs})
        check_level("dpt_fsnet", level_dbfs)
        self.level_dbfs = level_dbfs
        if has_checkpoint("dpt_fsnet", checkpoint, init):
            stored, state = trained_parts(load_file(checkpoint), checkpoint, "dpt_fsnet")
            self.network = DptFsnet(stored_sizes(DptFsnetSizes, "dpt_fsnet", stored, options, checkpoint))
            load_strict(self.network, state, checkpoint)
            self.checkpoint_sha256 = file_sha256(checkpoint)
        else:
            self.network = DptFsnet(given_sizes(DptFsnetSizes, "dpt_fsnet", options))
        self.requires_grad_(False)
        self.eval()

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """(clips, samples) to the same shape; 16 kHz."""
        scaled, gain = at_level(wav, self.level_dbfs)
        return self.network(scaled) / gain
