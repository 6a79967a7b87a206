"""Settings of optimisation (Section 4.2)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trnet.config.model import BELOW_1
from trnet.config.section import Section, later, problem, within
from trnet.config.system import LARGEST

MOST_EPOCHS = 100_000


class Optimizer(Section):
    """The optimizer; Adam in the paper."""

    type: Literal["adam", "adamw"] = "adam"
    lr: Annotated[float, Field(ge=1e-12, le=100)] | None = None  # training.lr if not given
    weight_decay: float = within(0.0, 0, 1000)


class Schedule(Section):
    """The learning rate over a run: warm-up, then constant, or down a cosine, or cut where the validation stays."""

    type: Literal["constant", "cosine", "plateau"] = "constant"
    warmup_steps: int = within(0, 0, 1_000_000_000)  # steps of the optimizer in which it rises from 0
    epochs: int = within(80, 1, MOST_EPOCHS)  # cosine: down to `final` of it in so many epochs, where it stays
    final: float = within(0.0, 0, 1)
    patience: int = within(10, 1, MOST_EPOCHS)  # plateau: epochs without a better UAR until it is cut
    factor: float = within(0.1, 1e-6, 1)

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        for kind, names in {"cosine": ("epochs", "final"), "plateau": ("patience", "factor")}.items():
            for name in names if kind != self.type else ():
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise problem(name, f"is for 'type: {kind}', not {self.type}; leave it out")
        return self


class Training(Section):
    """Section 4.2: optimisation."""

    batch_size: int = within(32, 2, 10_000)  # BatchNorm needs two
    lr: float = within(1e-3, 1e-12, 100)
    max_epochs: int = within(80, 1, MOST_EPOCHS)
    patience: int = within(0, 0, MOST_EPOCHS)  # stop after so many epochs without a better validation UAR; 0: never
    grad_clip: float = within(0.0, 0, 1e9)  # largest norm of the gradient; 0: not clipped
    plateau_patience: int = within(0, 0, MOST_EPOCHS)  # short for 'schedule: {type: plateau, patience: ...}'; 0: no
    plateau_factor: float = within(0.1, 1e-6, 1)
    train_conditions: Literal["draw", "all"] = "draw"  # draw: each epoch one condition for an utterance | all
    valid_conditions: Literal["draw", "all"] = "draw"  # draw: one fixed condition for an utterance | all: every one
    precision: Literal["float32", "bf16"] = "float32"  # bf16: Eq. 1-5 stay in float32
    bucketing: int = within(8, 1, 10_000)  # sort so many batches' worth of utterances by length; 1: do not sort
    ema: float = within(0.0, 0, BELOW_1, later=True)
    # decay a step of an average of the weights, which is what is validated and kept; 0: none
    ctc_weight: float = within(0.0, 0, LARGEST, later=True)
    # weight of the CTC loss on the transcripts, see the section ctc; 0: there is none
    compile: bool | None = later(None)
    # compile the network for batches of a few shapes; null: on a GPU, where whole steps are captured, too
    optimizer: Optimizer = later(Optimizer())
    schedule: Schedule = later(Schedule())

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        if self.plateau_patience and self.schedule.type != "constant":
            reason = f"does not go with 'schedule: {{type: {self.schedule.type}}}'; set it to 0"
            raise problem("plateau_patience", reason)
        if self.schedule.type == "plateau" and self.plateau_factor != type(self).model_fields["plateau_factor"].default:
            raise problem("plateau_factor", "is of the short form; set schedule.factor instead")
        return self

    @property
    def base_lr(self) -> float:
        """The learning rate that the schedule begins from."""
        return self.lr if self.optimizer.lr is None else self.optimizer.lr

    @property
    def plateau(self) -> tuple[int, float] | None:
        """Epochs without a better validation UAR until the learning rate is cut, and its factor; None: it is not."""
        if self.plateau_patience:
            return self.plateau_patience, self.plateau_factor
        return (self.schedule.patience, self.schedule.factor) if self.schedule.type == "plateau" else None
