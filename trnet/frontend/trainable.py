"""What the front-ends share whose networks trnet can train: sizes, weights, and the level they hear a clip at."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

from torch import Tensor, nn

from trnet.frontend.base import FrontEnd, at_level, check_level
from trnet.frontend.checkpoint import file_sha256, has_checkpoint, load_file, load_strict, trained_parts
from trnet.frontend.network_config import given_sizes, stored_sizes


class TrainableFrontEnd(FrontEnd):
    """A network built from sizes, untrained or with the weights of a checkpoint; 16 kHz, frozen, in eval mode.

    Attributes:
        kind: its registered name, which checkpoints and messages say.
        sizes_type: frozen dataclass of the network's sizes.
        sizes: those of this one.
        network: (clips, samples) to the same shape, unless the class says otherwise.
    """

    kind: ClassVar[str]
    sizes_type: ClassVar[type]
    sample_rate = 16000

    def __init__(
        self,
        checkpoint: str | None,
        init: str | None,
        sizes: dict[str, Any],
        **others: Any,
    ) -> None:
        """Build the network and load it.

        Args:
            checkpoint: a file of the format ``trnet-enh-1``, or one that :meth:`foreign` knows.
            init: ``"random"`` for an untrained network instead.
            sizes: fields of ``sizes_type``; None for what the checkpoint, else the publication says.
            others: the class's further options; ``level_dbfs`` among them: bring each clip to this RMS, dB re full
                scale, for the network and back after it (None: as it is).

        Raises:
            TrnetError: no weights named, options out of range or unlike the checkpoint's, or a checkpoint of something
                else or for another sampling rate.
        """
        super().__init__({"checkpoint": checkpoint, "init": init, **sizes, **others})
        self.level_dbfs = others.get("level_dbfs")
        check_level(self.kind, self.level_dbfs)
        if has_checkpoint(self.kind, checkpoint, init):
            loaded = load_file(checkpoint)
            stored, state = self.foreign(loaded, checkpoint) or trained_parts(loaded, checkpoint, self.kind)
            self.sizes = stored_sizes(self.sizes_type, self.kind, stored, sizes, checkpoint)
            self.network = self.make_network(self.sizes)
            load_strict(self.network, state, checkpoint)
            self.checkpoint_sha256 = file_sha256(checkpoint)
        else:
            self.sizes = given_sizes(self.sizes_type, self.kind, sizes)
            self.network = self.make_network(self.sizes)
        self.requires_grad_(False)
        self.eval()

    def make_network(self, sizes: Any) -> nn.Module:
        """The untrained network of these sizes."""
        raise NotImplementedError(f"{type(self).__name__} has to define make_network(sizes)")

    def foreign(self, loaded: Any, path: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Sizes and state_dict of a checkpoint that another project publishes; None: it is not of one known here."""
        return None

    def untrained_conf(self) -> dict[str, Any] | None:
        """As for every front-end, with the sizes that the checkpoint brought."""
        conf, sizes = super().untrained_conf(), asdict(self.sizes)
        return None if conf is None else conf | {key: sizes[key] for key in conf.keys() & sizes.keys()}

    def enhance_equal(self, wav: Tensor) -> Tensor:
        """(clips, samples) to the same shape; 16 kHz."""
        scaled, gain = at_level(wav, self.level_dbfs)
        return self.network(scaled) / gain
