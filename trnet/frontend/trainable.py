"""Front-ends whose networks trnet can train: configuration, weights and input level."""

from typing import Any, ClassVar

from torch import Tensor, nn

from trnet.config.section import Section
from trnet.frontend.base import FrontEnd, at_level, check_level
from trnet.frontend.checkpoint import checkpoint_path, load_file, load_strict, trained_parts
from trnet.frontend.network_config import given_config, stored_config
from trnet.utils.stamp import file_sha256


class TrainableFrontEnd(FrontEnd):
    """A network built from its configuration, untrained or with the weights of a checkpoint; 16 kHz."""

    kind: ClassVar[str]  # registered name, for checkpoints and messages
    config_type: ClassVar[type[Section]]  # section of the network's configuration
    network_config: Any  # configuration of this network
    network: nn.Module  # (clips, samples) to the same shape, unless the class has another interface
    sample_rate = 16000

    def __init__(self, checkpoint: str | None, init: str | None, config: dict[str, Any], **others: Any) -> None:
        """Build the network and load it.

        Args:
            checkpoint: a file of the format ``trnet-enh-1``, or one for :meth:`published_parts`.
            init: ``"random"`` for an untrained network instead.
            config: fields of ``config_type``; None: as the checkpoint has it, or as published.
            others: further options of the class; ``level_dbfs`` among them: RMS of the network's input, dB re full
                scale; None: unchanged.

        Raises:
            TrnetError: If no weights are named, an option is out of range or differs from the checkpoint, or the
                checkpoint is of another network.
        """
        super().__init__({"checkpoint": checkpoint, "init": init, **config, **others})
        self.level_dbfs = check_level(self.kind, others.get("level_dbfs"))
        if (path := checkpoint_path(self.kind, checkpoint, init)) is not None:
            loaded = load_file(path)
            stored, state = self.published_parts(loaded, path) or trained_parts(loaded, path, self.kind)
            self.network_config = stored_config(self.config_type, self.kind, stored, config, path)
            self.network = self.make_network(self.network_config)
            load_strict(self.network, state, path)
            self.checkpoint_sha256 = file_sha256(path)
        else:
            self.network_config = given_config(self.config_type, self.kind, config)
            self.network = self.make_network(self.network_config)
        self.requires_grad_(False)
        self.eval()

    def make_network(self, config: Any) -> nn.Module:
        """The untrained network of a ``config_type``."""
        raise NotImplementedError(f"{type(self).__name__} has to define make_network(config)")

    def published_parts(self, loaded: Any, path: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Configuration and state_dict of a checkpoint in the format of another project; None: it is not in one."""
        return None

    def untrained_conf(self) -> dict[str, Any] | None:
        """As for every front-end, with the configuration of the checkpoint."""
        conf, stored = super().untrained_conf(), self.network_config.plain()
        return None if conf is None else conf | {key: stored[key] for key in conf.keys() & stored.keys()}

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """(clips, samples) to the same shape; 16 kHz."""
        scaled, gain = at_level(wav, self.level_dbfs)
        return self.network(scaled) / gain
