"""Settings of the training of a front-end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from trnet.config import MOST_EPOCHS, Section, build, later, merge, read_settings, within
from trnet.config.overrides import parse_settings
from trnet.utils.errors import TrnetError
from trnet.utils.names import frontend_id


class EnhTraining(Section):
    """Segments, optimizer, learning rate, end.

    The learning rate of a step is ``lr``, times the step's share of ``warmup_steps`` during these, times
    ``decay_factor`` for every ``decay_epochs`` completed, times ``plateau_factor`` for every ``plateau_patience``
    epochs without a better validation score.
    """

    start: Literal["random", "identity"] = later("random")  # identity: initially the output is the input
    segment_s: float = within(2.0, 0.01, 600)  # longer speech is cropped to so many seconds, shorter is repeated
    batch_size: int = within(8, 2, 10_000)  # batch norm requires two
    utts_per_epoch: int = within(0, 0, 100_000_000)  # drawn for each epoch; 0: all
    max_epochs: int = within(100, 1, MOST_EPOCHS)
    patience: int = within(0, 0, MOST_EPOCHS)  # epochs without a better validation score before the end; 0: no end
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = within(1e-3, 1e-12, 100)
    weight_decay: float = within(0.0, 0, 1000)
    grad_clip: float = within(0.0, 0, 1e9)  # largest norm of the gradient; 0: not clipped
    warmup_steps: int = within(0, 0, 1_000_000_000)
    decay_epochs: int = within(0, 0, MOST_EPOCHS)  # 0: no decay by epochs
    decay_factor: float = within(0.5, 1e-6, 1000)
    plateau_patience: int = within(0, 0, MOST_EPOCHS)  # 0: no decay by the validation score
    plateau_factor: float = within(0.5, 1e-6, 1000)


class Validation(Section):
    """How the epoch is chosen."""

    choose: Literal["si_sdr", "pesq"] = "si_sdr"  # the epoch with the largest mean is kept
    utts: int = within(0, 0, 100_000_000)  # number of utterances, drawn once; 0: all
    audio: int = within(3, 0, 1000)  # how many of them are logged to TensorBoard


class EnhConfig(Section):
    """All settings of the training of a front-end."""

    frontend: str = "dccrn"
    sizes: dict[str, Any] = {}  # configuration of the network, as in frontend_conf; {}: the paper's
    loss: dict[str, Any] = {}  # of its method, trnet/enh/methods/; {}: the paper's
    training: EnhTraining = EnhTraining()
    validation: Validation = Validation()

    @model_validator(mode="after")
    def _check_frontend(self) -> Self:
        frontend_id(self.frontend, "frontend")
        return self


def load_enh_config(path: Path, max_epochs: int | None = None, settings: Sequence[str] = ()) -> EnhConfig:
    """Read the YAML of a front-end's training; `settings`: texts of ``--set``, which override all.

    Raises:
        TrnetError: If a key is unknown, or a value is of another type or out of range.
    """
    raw = read_settings(path)
    try:
        config = build(EnhConfig, raw)
        if max_epochs is not None:
            raw = merge(raw, {"training": {"max_epochs": max_epochs}})
            config = build(EnhConfig, raw)
    except TrnetError as error:
        raise TrnetError(f"{path}: {error}") from None
    more = parse_settings(settings)
    try:
        return build(EnhConfig, merge(raw, more)) if more else config
    except TrnetError as error:
        raise TrnetError(f"--set: {error}; mend it there") from None
