"""The front-end ``dpt_fsnet``."""

from trnet.frontend.dpt_fsnet.config import DptFsnetConfig
from trnet.frontend.dpt_fsnet.network import DptFsnet
from trnet.frontend.trainable import TrainableFrontEnd


class DptFsnetFrontEnd(TrainableFrontEnd):
    """DPT-FSNet with weights trained with trnet; 16 kHz. Its authors publish none."""

    kind = "dpt_fsnet"
    config_type = DptFsnetConfig
    network: DptFsnet

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
            n_fft: see :class:`DptFsnetConfig`, as for the next five; a checkpoint has its own.
            level_dbfs: RMS of the network's input, dB re full scale; None: unchanged.
        """
        config = {"n_fft": n_fft, "hop": hop, "channels": channels, "depth": depth, "blocks": blocks, "heads": heads}
        super().__init__(checkpoint, init, config, level_dbfs=level_dbfs)

    def make_network(self, config: DptFsnetConfig) -> DptFsnet:
        """The untrained network."""
        return DptFsnet(config)
