"""The experiment's settings; the defaults are the paper's. `trnet.sections` says how a YAML file is read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trnet.errors import TrnetError, nearest
from trnet.sections import build_value, later, merge, read_yaml

FOLD_KINDS = {"speakers": ("same_group", "next", "texts"), "groups": ("next",), "official": ("dev",)}

MAX_SUBSAMPLING = 4  # of time, where CTC listens: what is coarser has fewer frames than speech has pieces


@dataclass(frozen=True)
class Features:
    """Section 4.2: 80-d log mel filter banks (LMFB), 25 ms frames every 10 ms, at most 500 of them."""

    sample_rate: int = 16000  # Hz
    num_mel_bins: int = 80
    frame_length: float = 25.0  # ms
    frame_shift: float = 10.0  # ms
    window: str = "povey"  # povey | hamming | hanning | rectangular | blackman
    low_freq: float = 20.0  # Hz
    high_freq: float = 0.0  # Hz; 0 is half the sampling rate
    max_frames: int = 500  # what is longer is cut
    pad: str = "none"  # none | repeat: repeat the waveform up to max_frames, as the authors' release does
    compression: int = 3  # kaldiio's compression_method; 3 is two bytes a value, 0 none

    def __post_init__(self) -> None:
        _positive(
            sample_rate=self.sample_rate,
            num_mel_bins=self.num_mel_bins,
            frame_length=self.frame_length,
            frame_shift=self.frame_shift,
            max_frames=self.max_frames,
        )
        _not_negative(low_freq=self.low_freq, high_freq=self.high_freq)
        if self.low_freq >= (self.high_freq or self.sample_rate / 2) or self.high_freq > self.sample_rate / 2:
            raise ValueError(
                f"features: low_freq {self.low_freq} must lie below high_freq {self.high_freq} (0: half the sampling "
                f"rate), and both within half of sample_rate {self.sample_rate}"
            )
        _one_of("features.pad", self.pad, ("none", "repeat"))
        _one_of("features.window", self.window, ("povey", "hamming", "hanning", "rectangular", "blackman"))
        _one_of("features.compression", self.compression, (0, 3))

    @property
    def span(self) -> int:
        """Samples that the model hears: those of `max_frames` frames."""
        per_ms = self.sample_rate / 1000
        return round(self.frame_length * per_ms) + (self.max_frames - 1) * round(self.frame_shift * per_ms)


@dataclass(frozen=True)
class Simulation:
    """Section 4.3: which noise, at which SNRs; what may be heard in training."""

    seed: int = 0
    snrs: list[float] = field(default_factory=lambda: [20, 15, 10, 5, 0])  # dB
    train_noise: str = "esc"  # the one noise set that training may hear (matched)

    def __post_init__(self) -> None:
        if not self.snrs:
            raise ValueError("simulation.snrs: name at least one SNR in dB")


@dataclass(frozen=True)
class Folds:
    """Who is tested in a fold, and who validates it."""

    kind: str = "speakers"  # speakers: leave one out | groups: of speakers, `count` of them | official: utt2split
    count: int = 0  # kind groups: how many
    valid: str = "same_group"
    # speakers: same_group (the other speaker of the test speaker's group) | next (the next speaker) | texts (a tenth of
    # what the other speakers say, where there are too few of them); groups: next; official: dev
    validators: int = 1  # kind speakers, valid next: how many of the next speakers validate
    shared_speakers: bool = False  # kind official: true lets a corpus's own parts share speakers

    def __post_init__(self) -> None:
        _one_of("folds.kind", self.kind, tuple(FOLD_KINDS))
        _one_of(
            "folds.valid" if self.kind == "speakers" else f"folds.valid of kind {self.kind}",
            self.valid,
            FOLD_KINDS[self.kind],
        )
        if self.kind == "groups" and self.count < 3:
            raise ValueError(f"folds.count: {self.count} must be 3 or more: groups to train, validate and test on")
        if self.kind != "groups" and self.count:
            raise ValueError(f"folds.count: {self.count} is for 'kind: groups' only; leave it out")
        if self.validators < 1 or (self.validators > 1 and (self.kind, self.valid) != ("speakers", "next")):
            raise ValueError(f"folds.validators: {self.validators}: give 1, or more with kind speakers and valid next")
        if self.kind != "official" and self.shared_speakers:
            raise ValueError("folds.shared_speakers: is for 'kind: official' only; leave it out")


@dataclass(frozen=True)
class Encoder:
    """Section 3.3 and 4.2: the acoustic encoder of the SER module."""

    type: str = "residual"  # residual: the paper | plain: the authors' release
    channels: list[int] = field(default_factory=lambda: [32, 64, 128, 256])
    kernel: int = 5
    dropout: float = 0.0  # after each block
    deltas: bool = False  # feed delta and delta-delta as channels 2 and 3
    input_norm: bool = False  # BatchNorm over mel bins at the input
    normalise: str = later("none")  # none | mean | mean_std: of each mel bin over the utterance, taken from the input
    time_masks: int = later(0)  # SpecAugment in training: stretches of frames that are hidden, 0 to
    time_width: int = later(40)  # frames long
    mel_masks: int = later(0)  # and bands of mel bins, 0 to
    mel_width: int = later(10)  # bins wide

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("encoder.channels: name one number of channels a block, at least one")
        if self.kernel % 2 == 0 or not 0 <= self.dropout < 1:
            raise ValueError(f"encoder: kernel {self.kernel} must be odd, dropout {self.dropout} in [0, 1)")
        _positive(kernel=self.kernel, **{f"channels[{i}]": count for i, count in enumerate(self.channels)})
        _one_of("encoder.type", self.type, ("residual", "plain"))
        _one_of("encoder.normalise", self.normalise, ("none", "mean", "mean_std"))
        _not_negative(time_masks=self.time_masks, mel_masks=self.mel_masks)
        _positive(time_width=self.time_width, mel_width=self.mel_width)


@dataclass(frozen=True)
class Pooling:
    """Section 3.3: attention pooling over time."""

    attention: int = 128  # hidden units of the attention; 0: one linear layer
    values: int = 0  # project to so many dimensions before pooling; 0: none
    clamp: float = 0.0  # clamp attention logits to +-clamp; 0: not at all

    def __post_init__(self) -> None:
        _not_negative(attention=self.attention, values=self.values, clamp=self.clamp)


@dataclass(frozen=True)
class Classifier:
    """The projection of h into emotion logits."""

    hidden: int = 0  # a hidden layer of so many units with BatchNorm and ReLU; 0: none
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _not_negative(hidden=self.hidden)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"classifier.dropout: {self.dropout} must be in [0, 1)")


@dataclass(frozen=True)
class Gate:
    """Section 3.2: the SNR-aware module."""

    snr_features: str = "centred"  # centred: the mean of X is taken from X and X_e before Eq. 1 | raw: Eq. 1 as printed
    gradient: str = "returning"  # returning: a saturated c may come back | hardtanh: Eq. 3's own gradient
    init: str = "mean"  # mean: c starts as the mean of d | random: PyTorch's own
    lr: float = 1e-3  # Adam, for the weights of Eq. 2; larger where an epoch has few steps
    resolution: str = later("utterance")  # utterance: one c | band: one for each mel bin, whose mean the bridge hears

    def __post_init__(self) -> None:
        _positive(lr=self.lr)
        _one_of("gate.snr_features", self.snr_features, ("centred", "raw"))
        _one_of("gate.gradient", self.gradient, ("returning", "hardtanh"))
        _one_of("gate.init", self.init, ("mean", "random"))
        _one_of("gate.resolution", self.resolution, ("utterance", "band"))


@dataclass(frozen=True)
class System:
    """What tells one system of Table 1 from another."""

    input: str = "both"  # noisy | enhanced | both (TRNet: gated mixture of the two)
    conditions: str = "all"  # clean: trained on clean speech alone | all: on clean and matched-noise speech
    alpha: float = 0.0  # weight of L_low in Eq. 8
    beta: float = 0.0  # weight of L_high in Eq. 8
    bridge: bool = False  # whether Eq. 6 is there
    init: str = later("random")  # random | teacher: what the SER module starts from
    target: str = later("clean")  # X_s of Eq. 5: clean | enhanced_clean, which the front-end has rid of room noise

    def __post_init__(self) -> None:
        _one_of("systems.<name>.input", self.input, ("noisy", "enhanced", "both"))
        _one_of("systems.<name>.conditions", self.conditions, ("clean", "all"))
        _one_of("systems.<name>.init", self.init, ("random", "teacher"))
        _one_of("systems.<name>.target", self.target, ("clean", "enhanced_clean"))
        if self.alpha < 0 or self.beta < 0:
            raise ValueError("systems.<name>: alpha and beta must not be negative")
        if self.input != "both" and (self.alpha or self.beta or self.bridge):
            raise ValueError("systems.<name>: alpha, beta and bridge need 'input: both'")

    @property
    def hears_front_end(self) -> bool:
        """Whether a change of front-end changes this system."""
        return self.input != "noisy"

    @property
    def target_kind(self) -> str | None:
        """The kind of features, noisy or enhanced, that X_s is of clean speech; None without L_low."""
        if not self.alpha:
            return None
        return "noisy" if self.target == "clean" else "enhanced"

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher's h_s is part of its loss, or its weights are where it starts."""
        return self.beta > 0 or self.init == "teacher"


@dataclass(frozen=True)
class Training:
    """Section 4.2: optimisation."""

    batch_size: int = 32
    lr: float = 1e-3  # Adam
    max_epochs: int = 80
    patience: int = 0  # stop after so many epochs without a better validation UAR; 0: never
    grad_clip: float = 0.0  # largest norm of the gradient; 0: not clipped
    plateau_patience: int = 0  # epochs without a better UAR until lr is cut; 0: lr stays
    plateau_factor: float = 0.1
    train_conditions: str = "draw"  # draw: each epoch one condition for an utterance | all: every condition
    valid_conditions: str = "draw"  # draw: one fixed condition for an utterance | all: every condition
    precision: str = "float32"  # float32 | bf16 (Eq. 1-5 stay in float32)
    bucketing: int = 8  # sort so many batches' worth of utterances by length; 1: do not sort
    ema: float = later(0.0)  # decay a step of an average of the weights, which is what is validated and kept; 0: none
    ctc_weight: float = later(0.0)  # weight of the CTC loss on the transcripts, see the section ctc; 0: there is none

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise ValueError(f"training.batch_size: {self.batch_size} must be 2 or more (BatchNorm)")
        _positive(lr=self.lr, max_epochs=self.max_epochs, bucketing=self.bucketing, plateau_factor=self.plateau_factor)
        _not_negative(patience=self.patience, grad_clip=self.grad_clip, plateau_patience=self.plateau_patience)
        _not_negative(ctc_weight=self.ctc_weight)
        if not 0 <= self.ema < 1:
            raise ValueError(f"training.ema: {self.ema} must be in [0, 1)")
        _one_of("training.train_conditions", self.train_conditions, ("draw", "all"))
        _one_of("training.valid_conditions", self.valid_conditions, ("draw", "all"))
        _one_of("training.precision", self.precision, ("float32", "bf16"))


@dataclass(frozen=True)
class CTC:
    """The auxiliary CTC loss: what the encoder also learns to spell, where training.ctc_weight is not 0."""

    vocab: int = 200  # SentencePiece's pieces, <unk> among them; char: at most so many
    model: str = "unigram"  # unigram | bpe | char
    tap: int = 2  # the encoder's blocks that are passed before; each halves time

    def __post_init__(self) -> None:
        _positive(**{"ctc.vocab": self.vocab, "ctc.tap": self.tap})
        _one_of("ctc.model", self.model, ("unigram", "bpe", "char"))
        if 2**self.tap > MAX_SUBSAMPLING:
            raise ValueError(
                f"ctc.tap: after {self.tap} blocks there is one frame for {2**self.tap} log-mels; "
                f"at most {MAX_SUBSAMPLING}, that is tap {MAX_SUBSAMPLING.bit_length() - 1}"
            )


@dataclass(frozen=True)
class Config:
    """Everything an experiment is decided by."""

    frontend: str = "cmgan"
    frontend_conf: dict[str, Any] = field(default_factory=dict)
    features: Features = field(default_factory=Features)
    simulation: Simulation = field(default_factory=Simulation)
    folds: Folds = field(default_factory=Folds)
    encoder: Encoder = field(default_factory=Encoder)
    pooling: Pooling = field(default_factory=Pooling)
    classifier: Classifier = field(default_factory=Classifier)
    gate: Gate = field(default_factory=Gate)
    training: Training = field(default_factory=Training)
    ctc: CTC = field(default_factory=CTC)
    systems: dict[str, System] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.training.ctc_weight:
            return
        if self.ctc.tap > len(self.encoder.channels):
            raise ValueError(f"ctc.tap: {self.ctc.tap} is beyond the {len(self.encoder.channels)} blocks of encoder")
        if self.features.pad == "repeat":
            raise ValueError(
                "training.ctc_weight: with 'features.pad: repeat' the speech is heard several times and its transcript "
                "says it once; set 'features.pad: none' or 'training.ctc_weight: 0'"
            )

    @property
    def frontend_name(self) -> str:
        """The front-end's name as a folder name (``package.module:Class`` has a colon, which ark paths cannot have)."""
        return self.frontend.replace(":", ".")

    def system(self, name: str) -> System:
        """One system by name.

        Raises: TrnetError listing the names if there is no such system.
        """
        if name not in self.systems:
            raise TrnetError(f"--systems {name}: no such system{nearest(name, list(self.systems))}")
        return self.systems[name]


def _positive(**values: float) -> None:
    for key, value in values.items():
        if value <= 0:
            raise ValueError(f"{key}: {value} must be above 0")


def _not_negative(**values: float) -> None:
    for key, value in values.items():
        if value < 0:
            raise ValueError(f"{key}: {value} must not be negative")


def _one_of(key: str, value: Any, known: tuple) -> None:
    if value not in known:
        raise ValueError(f"{key}: {value} is not one of {', '.join(map(str, known))}")


def load_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read an experiment's YAML; `overrides` (nested mappings) come on top, as command-line options do.

    Raises: TrnetError in one line for an unknown key (with the nearest one), a wrong type, or a wrong value.
    """
    try:
        return build_value(Config, merge(read_yaml(path), overrides or {}), "")
    except ValueError as error:
        raise TrnetError(f"{path}: {error}; mend it there") from None
