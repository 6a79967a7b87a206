"""Settings of the systems of Table 1 and of their losses."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trnet.config.parts import Part, chosen, load_class
from trnet.config.section import Section, later, problem, within
from trnet.utils.errors import TrnetError
from trnet.utils.names import setting_name

LARGEST = 1e6  # weight of a loss
MAX_SUBSAMPLING = 4  # of time, where CTC taps the encoder: what is coarser has fewer frames than speech has pieces
INPUTS = ("noisy", "enhanced")
MODELS = ("ser", "trnet")
COLUMNS = ("epoch", "lr", "loss", "valid_uar", "c_clean", "c_noisy")  # of history.csv, beside those of losses
FIELDS = ("clean", "h_s", "snr", "noisy", "enhanced", "text")  # of a batch, which anybody's loss may read
NEEDS: dict[str, tuple[str, ...]] = {
    "cross_entropy": (),
    "low": ("clean",),
    "high": ("h_s",),
    "high_frames": ("clean", "teacher"),
    "snr": ("snr",),
    "ctc": ("text",),
}


class LossConf(Part):
    """What all losses have; `name` is its column in history.csv, its type if empty."""

    not_options = ("type", "weight", "name")

    weight: float = within(1.0, 0, LARGEST)
    name: str = ""

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if self.column in COLUMNS:
            raise problem("name", f"'{self.column}' is another column of history.csv; choose another name")
        setting_name(self.column, "the name of a loss")
        return self

    @property
    def column(self) -> str:
        """Its column in history.csv."""
        return self.name or self.type.rpartition(":")[2]

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of a batch that it reads beside the output and the labels; "teacher": it has the teacher in it."""
        if not self.is_own:
            return NEEDS[self.type]
        found = getattr(load_class(self.type, "losses.type"), "needs", None)
        if not isinstance(found, tuple) or not set(found) <= set(FIELDS):
            raise TrnetError(f"{self.type}: set 'needs' of the class to a tuple of {', '.join(FIELDS)}; () for none")
        return found


class CrossEntropyConf(LossConf):
    """The first term of Eq. 8."""

    type: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = within(0.0, 0, 0.999)
    class_weights: Literal["none", "balanced"] | list[Annotated[float, Field(ge=0, le=LARGEST)]] = "none"
    # balanced: inverse to the classes' frequencies in training | one a class, in C order of their names


class LowConf(LossConf):
    """Eq. 5."""

    type: Literal["low"] = "low"


class HighConf(LossConf):
    """Eq. 7."""

    type: Literal["high"] = "high"


class HighFramesConf(LossConf):
    """Eq. 7 before pooling: frames of the encoder against those that the teacher's encoder makes of clean speech."""

    type: Literal["high_frames"] = "high_frames"


class SNRConf(LossConf):
    """The c of Eq. 3 against the SNR at which noise was mixed in."""

    type: Literal["snr"] = "snr"
    lowest: float = within(-5.0, -100, 100)  # dB at and below which c should be 0
    highest: float = within(25.0, -100, 100)  # dB at and above which it should be 1, as for clean speech

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.lowest >= self.highest:
            raise problem("lowest", f"{self.lowest:g} dB must lie below highest, {self.highest:g} dB")
        return self


class CTC(Section):
    """What the encoder also learns to spell, where there is a CTC loss."""

    vocab: int = within(200, 1, 100_000)  # SentencePiece's pieces, <unk> among them; char: at most so many
    model: Literal["unigram", "bpe", "char"] = "unigram"
    tap: int = within(2, 1, 16)  # the encoder's blocks that are passed before; each halves time

    @model_validator(mode="after")
    def _check_tap(self) -> Self:
        if 2**self.tap > MAX_SUBSAMPLING:
            raise problem(
                "tap",
                f"after {self.tap} blocks there is one frame for {2**self.tap} log-mels; "
                f"at most {MAX_SUBSAMPLING}, that is tap {MAX_SUBSAMPLING.bit_length() - 1}",
            )
        return self


class CTCLossConf(LossConf):
    """Graves et al. 2006, on the transcripts; its settings are the section `ctc`."""

    type: Literal["ctc"] = "ctc"


LOSSES: dict[str, type[Part]] = {
    "cross_entropy": CrossEntropyConf,
    "low": LowConf,
    "high": HighConf,
    "high_frames": HighFramesConf,
    "snr": SNRConf,
    "ctc": CTCLossConf,
}

AnyLoss = Annotated[LossConf, chosen(LOSSES, LossConf)]


class System(Section):
    """Settings of one system of Table 1."""

    input: Literal["both", "noisy", "enhanced"] = "both"  # both: TRNet, a gated mixture of the two
    conditions: Literal["all", "clean"] = "all"  # clean: trained on clean speech alone | all: on matched noise too
    alpha: float = within(0.0, 0, LARGEST)  # weight of L_low in Eq. 8
    beta: float = within(0.0, 0, LARGEST)  # weight of L_high in Eq. 8
    bridge: bool = False  # whether Eq. 6 is there
    init: Literal["random", "teacher"] = later("random")  # what the SER module starts from
    target: Literal["clean", "enhanced_clean"] = later("clean")  # X_s of Eq. 5; enhanced: without room noise
    model: str = later("")  # ser, trnet or package.module:Class; empty: trnet where the input is both, else ser
    options: dict[str, Any] = later({})  # of somebody's own model
    losses: list[AnyLoss] = later([])  # empty: cross-entropy, alpha L_low, beta L_high
    teacher_seeds: list[Annotated[int, Field(ge=0)]] = later([])
    # h_s of Eq. 7 is the mean over teachers of these seeds; empty: of the run's own seed

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        if self.input != "both" and (self.alpha or self.beta or self.bridge):
            raise problem("input", "alpha, beta and bridge need 'input: both'")
        if self.model and ":" not in self.model:
            if self.model not in MODELS:
                raise problem("model", f"'{self.model}' is not one of {', '.join(MODELS)}, package.module:Class")
            if (self.model == "trnet") != (self.input == "both"):
                raise problem("model", f"{self.model} does not go with 'input: {self.input}'")
        if self.options and not self.is_own:
            raise problem("options", "are for a model of your own, package.module:Class")
        if self.losses and (self.alpha or self.beta):
            raise problem("losses", "give alpha and beta, or a list of losses")
        if self.target != "clean" and any(loss.type == "high_frames" for loss in self.losses):
            raise problem("target", "with a loss 'high_frames' X_s is what the teacher reads; set it to clean")
        names = [loss.column for loss in self.losses]
        if twice := [name for name in names if names.count(name) > 1]:
            raise problem("losses", f"two have the name {twice[0]}; give one of them a 'name'")
        return self

    @property
    def is_own(self) -> bool:
        """Whether its model is somebody's own class."""
        return ":" in self.model

    @property
    def kind(self) -> str:
        """Name or ``package.module:Class`` of its model."""
        return self.model or ("trnet" if self.input == "both" else "ser")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The features that it reads: `noisy`, `enhanced` or both."""
        if not self.is_own:
            return INPUTS if self.input == "both" else (self.input,)
        found = getattr(load_class(self.model, "model"), "inputs", None)
        if not isinstance(found, tuple) or not found or not set(found) <= set(INPUTS):
            raise TrnetError(f"{self.model}: set 'inputs' of the class to a tuple of {', '.join(INPUTS)}")
        return tuple(name for name in INPUTS if name in found)

    @property
    def uses_frontend(self) -> bool:
        """Whether a change of front-end changes this system."""
        return "enhanced" in self.inputs

    def training_losses(self, ctc_weight: float = 0.0) -> list[LossConf]:
        """Its losses, those that `alpha`, `beta` and `training.ctc_weight` stand for among them."""
        losses = list(self.losses)
        if not losses:
            losses = [CrossEntropyConf(name="task")]
            losses += [LowConf(weight=self.alpha)] if self.alpha else []
            losses += [HighConf(weight=self.beta)] if self.beta else []
        return losses + ([CTCLossConf(weight=ctc_weight)] if ctc_weight else [])
