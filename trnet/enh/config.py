"""How a front-end is trained: YAML read into dataclasses, where an unknown key is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trnet.errors import TrnetError
from trnet.sections import build, later, read_yaml

CHOOSE = ("pesq", "si_sdr")
OPTIMIZERS = ("adam", "adamw")
STARTS = ("random", "identity")


@dataclass(frozen=True)
class Training:
    """Segments, optimiser, learning rate, end.

    The learning rate of a step is ``lr``, times the step's share of ``warmup_steps`` while these last, times
    ``decay_factor`` for every ``decay_epochs`` that are done, times ``plateau_factor`` for every ``plateau_patience``
    epochs without a better validation score.
    """

    start: str = later("random")  # random | identity: at first the network passes on what it hears
    segment_s: float = 2.0  # longer speech is cut to so many seconds at a place drawn anew, shorter is repeated
    batch_size: int = 8
    utts_per_epoch: int = 0  # drawn anew for each epoch; 0: all
    max_epochs: int = 100
    patience: int = 0  # end after so many epochs without a better validation score; 0: never
    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    grad_clip: float = 0.0  # largest norm of the gradient; 0: not clipped
    warmup_steps: int = 0
    decay_epochs: int = 0  # 0: no decay by epochs
    decay_factor: float = 0.5
    plateau_patience: int = 0  # 0: no decay by the validation score
    plateau_factor: float = 0.5

    def __post_init__(self) -> None:
        _above("training", 0, segment_s=self.segment_s, max_epochs=self.max_epochs, lr=self.lr)
        _above("training", 0, decay_factor=self.decay_factor, plateau_factor=self.plateau_factor)
        _above("training", 1, batch_size=self.batch_size)  # batch norm needs two
        counts = ("utts_per_epoch", "patience", "warmup_steps", "decay_epochs", "plateau_patience")
        _above("training", -1, **{name: getattr(self, name) for name in counts})
        if min(self.weight_decay, self.grad_clip) < 0:
            raise ValueError("training: weight_decay and grad_clip must not be negative")
        if self.start not in STARTS:
            raise ValueError(f"training.start: {self.start} is not one of {', '.join(STARTS)}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"training.optimizer: {self.optimizer} is not one of {', '.join(OPTIMIZERS)}")


@dataclass(frozen=True)
class Validation:
    """What the epoch is chosen by."""

    choose: str = "si_sdr"  # si_sdr | pesq: the epoch with the largest mean is kept
    utts: int = 0  # so many utterances, drawn once; 0: all
    audio: int = 3  # so many of them are put into TensorBoard

    def __post_init__(self) -> None:
        _above("validation", -1, utts=self.utts, audio=self.audio)
        if self.choose not in CHOOSE:
            raise ValueError(f"validation.choose: {self.choose} is not one of {', '.join(CHOOSE)}")


@dataclass(frozen=True)
class EnhConfig:
    """Everything that the training of a front-end is decided by."""

    frontend: str = "dccrn"
    sizes: dict[str, Any] = field(default_factory=dict)  # of the network, as in frontend_conf; {}: the paper's
    loss: dict[str, Any] = field(default_factory=dict)  # of its method, trnet/enh/methods/; {}: the paper's
    training: Training = field(default_factory=Training)
    validation: Validation = field(default_factory=Validation)


def _above(section: str, least: float, **values: float) -> None:
    for key, value in values.items():
        if value <= least:
            raise ValueError(f"{section}.{key}: {value} must be above {least:g}")


def load_enh_config(path: Path, max_epochs: int | None = None) -> EnhConfig:
    """Read the YAML of a front-end's training; `max_epochs` has the last word.

    Raises: TrnetError in one line for an unknown key (with the nearest one), a wrong type, or a wrong value.
    """
    raw = read_yaml(path)
    if max_epochs is not None:
        if max_epochs < 1:
            raise TrnetError(f"--max-epochs {max_epochs}: train for at least 1 epoch")
        raw = raw | {"training": {**(raw.get("training") or {}), "max_epochs": max_epochs}}
    try:
        return build(EnhConfig, raw, "")
    except TrnetError as error:
        raise TrnetError(f"{path}: {error}") from None
