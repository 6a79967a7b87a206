"""How a front-end is trained: YAML read into dataclasses, where an unknown key is an error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trnet.config import Section, build, one_of, read_yaml, within
from trnet.utils.errors import TrnetError
from trnet.utils.names import frontend_id

MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class Training(Section):
    """Segments, optimiser, learning rate, end.

    The learning rate of a step is ``lr``, times the step's share of ``warmup_steps`` while these last, times
    ``decay_factor`` for every ``decay_epochs`` that are done, times ``plateau_factor`` for every ``plateau_patience``
    epochs without a better validation score.
    """

    start: str = one_of("random", "identity", later=True)  # identity: at first the network passes on its input
    segment_s: float = within(2.0, 0.01, 600)  # longer speech is cut to so many seconds, shorter is repeated
    batch_size: int = within(8, 2, 10_000)  # batch norm needs two
    utts_per_epoch: int = within(0, 0, 100_000_000)  # drawn anew for each epoch; 0: all
    max_epochs: int = within(100, 1, MOST_EPOCHS)
    patience: int = within(0, 0, MOST_EPOCHS)  # end after so many epochs without a better validation score; 0: never
    optimizer: str = one_of("adam", "adamw")
    lr: float = within(1e-3, 1e-12, 100)
    weight_decay: float = within(0.0, 0, 1000)
    grad_clip: float = within(0.0, 0, 1e9)  # largest norm of the gradient; 0: not clipped
    warmup_steps: int = within(0, 0, 1_000_000_000)
    decay_epochs: int = within(0, 0, MOST_EPOCHS)  # 0: no decay by epochs
    decay_factor: float = within(0.5, 1e-6, 1000)
    plateau_patience: int = within(0, 0, MOST_EPOCHS)  # 0: no decay by the validation score
    plateau_factor: float = within(0.5, 1e-6, 1000)


@dataclass(frozen=True)
class Validation(Section):
    """What the epoch is chosen by."""

    choose: str = one_of("si_sdr", "pesq")  # the epoch with the largest mean is kept
    utts: int = within(0, 0, 100_000_000)  # so many utterances, drawn once; 0: all
    audio: int = within(3, 0, 1000)  # so many of them are put into TensorBoard


@dataclass(frozen=True)
class EnhConfig:
    """Everything that the training of a front-end is decided by."""

    frontend: str = "dccrn"
    sizes: dict[str, Any] = field(default_factory=dict)  # of the network, as in frontend_conf; {}: the paper's
    loss: dict[str, Any] = field(default_factory=dict)  # of its method, trnet/enh/methods/; {}: the paper's
    training: Training = field(default_factory=Training)
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        frontend_id(self.frontend, "frontend")


def load_enh_config(path: Path, max_epochs: int | None = None) -> EnhConfig:
    """Read the YAML of a front-end's training; `max_epochs` has the last word.

    Raises: TrnetError in one line for an unknown key (with the nearest one), a wrong type, or a wrong value.
    """
    raw = read_yaml(path)
    try:
        config = build(EnhConfig, raw, "")
        return (
            config if max_epochs is None else replace(config, training=replace(config.training, max_epochs=max_epochs))
        )
    except (ValueError, TrnetError) as error:
        raise TrnetError(f"{path}: {error}") from None
