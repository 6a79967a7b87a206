"""The experiment's settings; the defaults are the paper's. `trnet.config.sections` says how a YAML file is read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trnet.config.sections import Section, build_value, merge, one_of, read_yaml, within
from trnet.utils.errors import TrnetError, nearest
from trnet.utils.names import frontend_id, noise_name, setting_name

FOLD_KINDS = {"speakers": ("same_group", "next", "texts"), "groups": ("next",), "official": ("dev",)}

MAX_SUBSAMPLING = 4  # of time, where CTC listens: what is coarser has fewer frames than speech has pieces
BELOW_1 = 0.999999  # largest rate of dropout, and decay of an average
LARGEST = 1e6  # weight of a loss
MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class Features(Section):
    """Section 4.2: 80-d log mel filter banks (LMFB), 25 ms frames every 10 ms, at most 500 of them."""

    sample_rate: int = within(16000, 4000, 192_000)  # Hz
    num_mel_bins: int = within(80, 1, 1024)
    frame_length: float = within(25.0, 1, 1000)  # ms
    frame_shift: float = within(10.0, 1, 1000)  # ms
    window: str = one_of("povey", "hamming", "hanning", "rectangular", "blackman")
    low_freq: float = within(20.0, 0, 96_000)  # Hz
    high_freq: float = within(0.0, 0, 96_000)  # Hz; 0 is half the sampling rate
    max_frames: int = within(500, 1, 100_000)  # what is longer is cut
    pad: str = one_of("none", "repeat")  # repeat the waveform up to max_frames, as the authors' release does
    compression: int = one_of(3, 0)  # kaldiio's compression_method; 3 is two bytes a value, 0 none

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_freq >= (self.high_freq or self.sample_rate / 2) or self.high_freq > self.sample_rate / 2:
            raise ValueError(
                f"low_freq: {self.low_freq} must lie below high_freq {self.high_freq} (0: half the sampling rate), "
                f"and both within half of sample_rate {self.sample_rate}"
            )

    @property
    def span(self) -> int:
        """Samples that the model hears: those of `max_frames` frames."""
        per_ms = self.sample_rate / 1000
        return round(self.frame_length * per_ms) + (self.max_frames - 1) * round(self.frame_shift * per_ms)


@dataclass(frozen=True)
class Simulation(Section):
    """Section 4.3: which noise, at which SNRs; what may be heard in training."""

    seed: int = within(0, -(2**63), 2**63)
    snrs: list[float] = within([20, 15, 10, 5, 0], -100, 100)  # dB
    train_noise: str = "esc"  # the one noise set that training may hear (matched)

    def __post_init__(self) -> None:
        super().__post_init__()
        noise_name(self.train_noise, "simulation.train_noise")
        if not self.snrs:
            raise ValueError("snrs: name at least one SNR in dB")
        names = [f"{snr:g}" for snr in self.snrs]  # as folders are called
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"snrs: {twice[0]} dB is there twice; leave one out")


@dataclass(frozen=True)
class Folds(Section):
    """Who is tested in a fold, and who validates it."""

    kind: str = one_of(
        *FOLD_KINDS
    )  # speakers: leave one out | groups: of speakers, `count` of them | official: utt2split
    count: int = within(0, 0, 10_000)  # kind groups: how many
    valid: str = "same_group"
    # speakers: same_group (the other speaker of the test speaker's group) | next (the next speaker) | texts (a tenth of
    # what the other speakers say, where there are too few of them); groups: next; official: dev
    validators: int = within(1, 1, 10_000)  # kind speakers, valid next: how many of the next speakers validate
    shared_speakers: bool = False  # kind official: true lets a corpus's own parts share speakers

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.valid not in FOLD_KINDS[self.kind]:
            known = ", ".join(FOLD_KINDS[self.kind])
            raise ValueError(f"valid: of kind {self.kind}, {self.valid} is not one of {known}")
        if self.kind == "groups" and self.count < 3:
            raise ValueError(f"count: {self.count} must be 3 or more: groups to train, validate and test on")
        if self.kind != "groups" and self.count:
            raise ValueError(f"count: {self.count} is for 'kind: groups' only; leave it out")
        if self.validators > 1 and (self.kind, self.valid) != ("speakers", "next"):
            raise ValueError(f"validators: {self.validators}: give 1, or more with kind speakers and valid next")
        if self.kind != "official" and self.shared_speakers:
            raise ValueError("shared_speakers: is for 'kind: official' only; leave it out")


@dataclass(frozen=True)
class Encoder(Section):
    """Section 3.3 and 4.2: the acoustic encoder of the SER module."""

    type: str = one_of("residual", "plain")  # residual: the paper | plain: the authors' release
    channels: list[int] = within([32, 64, 128, 256], 1, 4096)
    kernel: int = within(5, 1, 99)
    dropout: float = within(0.0, 0, BELOW_1)  # after each block
    deltas: bool = False  # feed delta and delta-delta as channels 2 and 3
    input_norm: bool = False  # BatchNorm over mel bins at the input
    normalise: str = one_of("none", "mean", "mean_std", later=True)  # each mel bin over the utterance, in the input
    time_masks: int = within(
        0, 0, 1000, later=True
    )  # SpecAugment in training: stretches of frames that are hidden, 0 to
    time_width: int = within(40, 1, 100_000, later=True)  # frames long
    mel_masks: int = within(0, 0, 1000, later=True)  # and bands of mel bins, 0 to
    mel_width: int = within(10, 1, 1024, later=True)  # bins wide

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < len(self.channels) <= 16:
            raise ValueError("channels: name one number of channels a block, 1 to 16 of them")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel: {self.kernel} must be odd")


@dataclass(frozen=True)
class Pooling(Section):
    """Section 3.3: attention pooling over time."""

    attention: int = within(128, 0, 16_384)  # hidden units of the attention; 0: one linear layer
    values: int = within(0, 0, 16_384)  # project to so many dimensions before pooling; 0: none
    clamp: float = within(0.0, 0, 1e6)  # clamp attention logits to +-clamp; 0: not at all


@dataclass(frozen=True)
class Classifier(Section):
    """The projection of h into emotion logits."""

    hidden: int = within(0, 0, 16_384)  # a hidden layer of so many units with BatchNorm and ReLU; 0: none
    dropout: float = within(0.0, 0, BELOW_1)


@dataclass(frozen=True)
class Gate(Section):
    """Section 3.2: the SNR-aware module."""

    snr_features: str = one_of("centred", "raw")  # centred: X's mean is taken from X and X_e | raw: Eq. 1 as printed
    gradient: str = one_of("returning", "hardtanh")  # returning: a saturated c may come back | hardtanh: Eq. 3's own
    init: str = one_of("mean", "random")  # mean: c starts as the mean of d | random: PyTorch's own
    lr: float = within(1e-3, 1e-12, 100)  # Adam, for the weights of Eq. 2; larger where an epoch has few steps
    resolution: str = one_of("utterance", "band", later=True)  # one c | one a mel bin, whose mean the bridge hears


@dataclass(frozen=True)
class System(Section):
    """What tells one system of Table 1 from another."""

    input: str = one_of("both", "noisy", "enhanced")  # both: TRNet, a gated mixture of the two
    conditions: str = one_of("all", "clean")  # clean: trained on clean speech alone | all: on matched noise too
    alpha: float = within(0.0, 0, LARGEST)  # weight of L_low in Eq. 8
    beta: float = within(0.0, 0, LARGEST)  # weight of L_high in Eq. 8
    bridge: bool = False  # whether Eq. 6 is there
    init: str = one_of("random", "teacher", later=True)  # what the SER module starts from
    target: str = one_of("clean", "enhanced_clean", later=True)  # X_s of Eq. 5; enhanced: without room noise

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input != "both" and (self.alpha or self.beta or self.bridge):
            raise ValueError("input: alpha, beta and bridge need 'input: both'")

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
class Training(Section):
    """Section 4.2: optimisation."""

    batch_size: int = within(32, 2, 10_000)  # BatchNorm needs two
    lr: float = within(1e-3, 1e-12, 100)  # Adam
    max_epochs: int = within(80, 1, MOST_EPOCHS)
    patience: int = within(0, 0, MOST_EPOCHS)  # stop after so many epochs without a better validation UAR; 0: never
    grad_clip: float = within(0.0, 0, 1e9)  # largest norm of the gradient; 0: not clipped
    plateau_patience: int = within(0, 0, MOST_EPOCHS)  # epochs without a better UAR until lr is cut; 0: lr stays
    plateau_factor: float = within(0.1, 1e-6, 1)
    train_conditions: str = one_of("draw", "all")  # draw: each epoch one condition for an utterance | all: every one
    valid_conditions: str = one_of("draw", "all")  # draw: one fixed condition for an utterance | all: every one
    precision: str = one_of("float32", "bf16")  # bf16: Eq. 1-5 stay in float32
    bucketing: int = within(8, 1, 10_000)  # sort so many batches' worth of utterances by length; 1: do not sort
    ema: float = within(0.0, 0, BELOW_1, later=True)
    # decay a step of an average of the weights, which is what is validated and kept; 0: none
    ctc_weight: float = within(0.0, 0, LARGEST, later=True)
    # weight of the CTC loss on the transcripts, see the section ctc; 0: there is none


@dataclass(frozen=True)
class CTC(Section):
    """The auxiliary CTC loss: what the encoder also learns to spell, where training.ctc_weight is not 0."""

    vocab: int = within(200, 1, 100_000)  # SentencePiece's pieces, <unk> among them; char: at most so many
    model: str = one_of("unigram", "bpe", "char")
    tap: int = within(2, 1, 16)  # the encoder's blocks that are passed before; each halves time

    def __post_init__(self) -> None:
        super().__post_init__()
        if 2**self.tap > MAX_SUBSAMPLING:
            raise ValueError(
                f"tap: after {self.tap} blocks there is one frame for {2**self.tap} log-mels; "
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
        frontend_id(self.frontend, "frontend")
        for name in self.systems:
            setting_name(name, "systems")
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


def load_config(path: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read an experiment's YAML; `overrides` (nested mappings) come on top, as command-line options do.

    Raises: TrnetError in one line for an unknown key (with the nearest one), a wrong type, or a wrong value.
    """
    raw = read_yaml(path)
    try:
        config = build_value(Config, raw, "")
        return build_value(Config, merge(raw, overrides), "") if overrides else config
    except (ValueError, TrnetError) as error:
        raise TrnetError(f"{path}: {error}; mend it there") from None
