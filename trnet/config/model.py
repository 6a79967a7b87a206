"""Settings of the networks' parts: encoder, pooling, classifier and SNR gate."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from trnet.config.features import Fbank
from trnet.config.parts import Part, chosen
from trnet.config.section import Section, later, problem, within

BELOW_1 = 0.999999  # largest rate of dropout, and decay of an average


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise problem("", f"{kernel} must be odd")
    return kernel


Channels = Annotated[int, Field(ge=1, le=4096)]
Kernel = Annotated[int, AfterValidator(_odd)]


class EncoderConf(Part):
    """What all kinds of encoders have: nothing but a type."""


class SpecAugmented(EncoderConf):
    """Encoders that normalise and mask their input (SpecAugment, Park et al. 2019; in training only)."""

    normalise: Literal["none", "mean", "mean_std"] = later("none")  # each bin over the utterance
    time_masks: int = within(0, 0, 1000, later=True)  # stretches of frames that are hidden, 0 to
    time_width: int = within(40, 1, 100_000, later=True)  # frames long
    mel_masks: int = within(0, 0, 1000, later=True)  # and bands of mel bins, 0 to
    mel_width: int = within(10, 1, 1024, later=True)  # bins wide


class Convolutional(SpecAugmented):
    """Section 3.3 and 4.2: a stack of convolutional blocks over time and frequency."""

    channels: list[Channels] = Field(default_factory=lambda: [32, 64, 128, 256])
    kernel: Kernel = within(5, 1, 99)
    dropout: float = within(0.0, 0, BELOW_1)  # after each block
    deltas: bool = False  # feed delta and delta-delta as channels 2 and 3
    input_norm: bool = False  # BatchNorm over mel bins at the input

    @field_validator("channels")
    @classmethod
    def _check_channels(cls, channels: list[int]) -> list[int]:
        if not 0 < len(channels) <= 16:
            raise problem("", "name one number of channels a block, 1 to 16 of them")
        return channels


class Residual(Convolutional):
    """The paper's residual blocks."""

    type: Literal["residual"] = "residual"


class Plain(Convolutional):
    """The blocks of the authors' release."""

    type: Literal["plain"] = "plain"


class Light(EncoderConf):
    """Projection, layer norm and a few 1-d convolutions, for pretrained features."""

    type: Literal["light"] = "light"
    channels: int = within(128, 1, 4096)
    layers: int = within(2, 0, 16)
    kernel: Kernel = within(3, 1, 99)
    dropout: float = within(0.1, 0, BELOW_1)


class EcapaTdnn(SpecAugmented):
    """ECAPA-TDNN (Desplanques et al., Interspeech 2020) up to its pooling."""

    type: Literal["ecapa_tdnn"] = "ecapa_tdnn"
    channels: int = within(512, 8, 4096)  # of the blocks, a multiple of scale
    out_channels: int = within(1536, 1, 16_384)  # after the blocks' outputs are joined
    scale: int = within(8, 2, 64)  # groups of the Res2Net convolutions
    attention: int = within(128, 1, 4096)  # bottleneck of squeeze and excitation

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        if self.channels % self.scale:
            raise problem("channels", f"{self.channels} must be a multiple of scale {self.scale}")
        return self


ENCODERS: dict[str, type[Part]] = {"residual": Residual, "plain": Plain, "light": Light, "ecapa_tdnn": EcapaTdnn}

AnyEncoder = Annotated[EncoderConf, chosen(ENCODERS, EncoderConf, positional=1)]


class PoolingConf(Part):
    """What all kinds of pooling have: nothing but a type."""


class AttentionConf(PoolingConf):
    """Section 3.3: softmax attention over time."""

    type: Literal["attention"] = later("attention")
    attention: int = within(128, 0, 16_384)  # hidden units of the attention; 0: one linear layer
    values: int = within(0, 0, 16_384)  # project to so many dimensions before pooling; 0: none
    clamp: float = within(0.0, 0, 1e6)  # clamp attention logits to +-clamp; 0: not at all


class StatisticsConf(PoolingConf):
    """Mean and standard deviation over time; with attention those of ECAPA-TDNN, weighted for each channel."""

    type: Literal["statistics"] = "statistics"
    attention: int = within(0, 0, 16_384)  # hidden units of the attention; 0: every frame has the same weight


POOLINGS: dict[str, type[Part]] = {"attention": AttentionConf, "statistics": StatisticsConf}

AnyPooling = Annotated[PoolingConf, chosen(POOLINGS, PoolingConf, positional=1)]


class ClassifierConf(Section):
    """The projection of h into emotion logits."""

    hidden: int = within(0, 0, 16_384)  # a hidden layer of so many units with BatchNorm and ReLU; 0: none
    dropout: float = within(0.0, 0, BELOW_1)


class GateConf(Section):
    """Section 3.2: the SNR-aware module."""

    snr_features: Literal["centred", "raw"] = "centred"  # centred: X's mean is taken from X and X_e | raw: Eq. 1
    gradient: Literal["returning", "hardtanh"] = "returning"  # returning: a saturated c may come back | hardtanh: Eq. 3
    init: Literal["mean", "random"] = "mean"  # mean: c starts as the mean of d | random: PyTorch's own
    lr: float = within(1e-3, 1e-12, 100)  # of the optimizer, for the weights of Eq. 2; larger where epochs are short
    resolution: Literal["utterance", "band", "frame"] = later("utterance")
    # one c | one a mel bin | one a frame, from what is around it; the bridge gets their mean
    context: Kernel = within(51, 1, 10_001, later=True)  # resolution frame: log-mels around each that are compared, odd
    reads: Literal["mels", "features"] = later("mels")  # features: Eq. 1 compares these dimensions, too (no log-mels)
    fixed: Annotated[float, Field(ge=0, le=1)] | None = later(None)  # c of every utterance instead of Eq. 1 to 3
    features: Annotated[Fbank, chosen({"fbank": Fbank}, Fbank)] = later(Fbank())
    # log-mels that Eq. 1 to 3 read where the features of Eq. 4 are others
    mix: Literal["features", "waveform"] = later("features")
    # what Eq. 4 mixes; waveform: x and x_e, and X~ is what the frozen pretrained network makes of their mixture, a pass
    # through it in every step of training: for a GPU; features of type upstream only

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.reads == "features" and self.resolution != "utterance":
            raise problem("reads", f"features goes with 'resolution: utterance', not {self.resolution}")
        if self.mix == "waveform" and self.resolution != "utterance":
            raise problem("mix", f"waveform goes with 'resolution: utterance', not {self.resolution}")
        if self.mix == "waveform" and self.reads != "mels":
            raise problem("mix", f"waveform goes with 'reads: mels', not {self.reads}")
        return self
