"""Everything that an experiment is decided by; the defaults are the paper's."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from trnet.config.features import AnyFeatures, Fbank
from trnet.config.files import merge, read_settings
from trnet.config.model import AnyEncoder, AnyPooling, AttentionConf, ClassifierConf, Convolutional, GateConf, Residual
from trnet.config.overrides import parse_settings
from trnet.config.section import Section, build, later, problem, within
from trnet.config.system import CTC, System
from trnet.config.training import Training
from trnet.utils.errors import TrnetError, nearest
from trnet.utils.names import frontend_id, noise_name, setting_name

FOLD_KINDS = {
    "speakers": ("same_group", "next", "texts"),
    "groups": ("next",),
    "official": ("dev",),
    "all": ("none",),
}
"""Who may validate a fold of each kind; the first where settings do not say."""


class Simulation(Section):
    """Section 4.3: which noise, at which SNRs; what training may use."""

    seed: int = within(0, -(2**63), 2**63 - 1)
    snrs: list[float] = Field(default_factory=lambda: [20.0, 15.0, 10.0, 5.0, 0.0])  # dB
    train_noise: str = "esc"  # the one noise set that training may use (matched)
    test_snrs: list[float] = later([])  # dB; simulated, dumped and scored beside snrs, never trained or validated on

    @field_validator("snrs", "test_snrs")
    @classmethod
    def _check_range(cls, snrs: list[float]) -> list[float]:
        for index, snr in enumerate(snrs):
            if not -100 <= snr <= 100:
                raise problem(f"[{index}]", f"{snr} must be from -100 to 100")
        return snrs

    @model_validator(mode="after")
    def _check(self) -> Self:
        noise_name(self.train_noise, "simulation.train_noise")
        if not self.snrs:
            raise problem("snrs", "name at least one SNR in dB")
        names = [f"{snr:g}" for snr in (*self.snrs, *self.test_snrs)]  # as folders are called
        if twice := [name for name in names if names.count(name) > 1]:
            raise problem("snrs", f"{twice[0]} dB is there twice; leave one out")
        return self

    @property
    def all_snrs(self) -> list[float]:
        """SNRs that are simulated, dumped and scored, in dB."""
        return [*self.snrs, *self.test_snrs]


class Folds(Section):
    """Who is tested in a fold, and who validates it."""

    kind: Literal["speakers", "groups", "official", "all"] = "speakers"
    # speakers: leave one out | groups: of speakers, `count` of them | official: utt2split | all: train on everyone for
    # training.max_epochs, validate on and test nobody
    count: int = within(0, 0, 10_000)  # kind groups: how many
    valid: str = "same_group"
    # speakers: same_group (the other speaker of the test speaker's group) | next (the next speaker) | texts (a tenth of
    # what the other speakers say, where there are too few of them); groups: next; official: dev; all: none
    validators: int = within(1, 1, 10_000)  # kind speakers, valid next: how many of the next speakers validate
    shared_speakers: bool = False  # kind official: true lets a corpus's own parts share speakers

    @model_validator(mode="before")
    @classmethod
    def _first_rule(cls, values: Any) -> Any:
        """Where a kind is given alone, who validates is the first of what it offers."""
        kind = values.get("kind") if isinstance(values, dict) and "valid" not in values else None
        return values | {"valid": FOLD_KINDS[kind][0]} if isinstance(kind, str) and kind in FOLD_KINDS else values

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.valid not in FOLD_KINDS[self.kind]:
            known = ", ".join(FOLD_KINDS[self.kind])
            raise problem("valid", f"of kind {self.kind}, {self.valid} is not one of {known}")
        if self.kind == "groups" and self.count < 3:
            raise problem("count", f"{self.count} must be 3 or more: groups to train, validate and test on")
        if self.kind != "groups" and self.count:
            raise problem("count", f"{self.count} is for 'kind: groups' only; leave it out")
        if self.validators > 1 and (self.kind, self.valid) != ("speakers", "next"):
            raise problem("validators", f"{self.validators}: give 1, or more with kind speakers and valid next")
        if self.kind != "official" and self.shared_speakers:
            raise problem("shared_speakers", "is for 'kind: official' only; leave it out")
        return self

    @property
    def hold_out(self) -> bool:
        """Whether anybody is held out, to validate and to be tested."""
        return self.kind != "all"


class NetworkConf(Section):
    """The parts of a network, which all systems of an experiment share."""

    features: AnyFeatures = Field(default_factory=Fbank)
    encoder: AnyEncoder = Field(default_factory=Residual)
    pooling: AnyPooling = Field(default_factory=AttentionConf)
    classifier: ClassifierConf = Field(default_factory=ClassifierConf)
    gate: GateConf = Field(default_factory=GateConf)

    @model_validator(mode="after")
    def _check_gate(self) -> Self:
        gate, kind, are_mels = self.gate, self.features.type, isinstance(self.features, Fbank)
        if gate.mix == "waveform" and kind != "upstream":
            raise problem("gate.mix", f"waveform needs features of type upstream, not {kind}")
        if gate.resolution == "band" and not are_mels:
            raise problem("gate.resolution", f"band needs log-mels as features, not {kind}; set it to utterance")
        if gate.reads == "features" and are_mels:
            raise problem("gate.reads", "features are no other than the log-mels that it reads; set it to mels")
        return self


class ModelConfig(NetworkConf):
    """What one system's network is built from."""

    system: System = Field(default_factory=System)

    @property
    def own_classes(self) -> list[str]:
        """The classes that are not trnet's own, whose code runs when the network is built."""
        parts = [self.features.type, self.encoder.type, self.pooling.type, self.system.model]
        return [name for name in parts if ":" in name]

    @property
    def gate_features(self) -> Fbank | None:
        """Log-mels that the gate reads beside other features; None where it reads the features themselves."""
        return None if isinstance(self.features, Fbank) or self.system.kind == "ser" else self.gate.features

    @property
    def mixes_waveforms(self) -> bool:
        """Whether Eq. 4 mixes waveforms, which the pretrained network then reads; somebody's own model does not."""
        return self.gate.mix == "waveform" and self.system.kind == "trnet"


class Config(NetworkConf):
    """Everything an experiment is decided by."""

    frontend: str = "cmgan"
    frontend_conf: dict[str, Any] = Field(default_factory=dict)
    simulation: Simulation = Field(default_factory=Simulation)
    folds: Folds = Field(default_factory=Folds)
    training: Training = Field(default_factory=Training)
    ctc: CTC = Field(default_factory=CTC)
    systems: dict[str, System] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        frontend_id(self.frontend, "frontend")
        for name in self.systems:
            setting_name(name, "systems")
        for name, system in self.systems.items():
            columns = [loss.column for loss in system.training_losses(self.training.ctc_weight)]
            self.needs(name)  # which somebody's own losses have to name
            if columns.count("ctc") > 1:
                raise problem("training.ctc_weight", f"system {name} has a loss 'ctc'; leave one of the two out")
        if not self.folds.hold_out:
            self._check_unvalidated()
        if self.uses_ctc and self.features.pad == "repeat":
            raise problem(
                self._ctc_key,
                "with 'features.pad: repeat' the speech is there several times and its transcript once; set "
                "'features.pad: none' or leave CTC out",
            )
        if self.uses_ctc and not self.encoder.is_own:
            self._check_tap()
        return self

    def _check_unvalidated(self) -> None:
        """Where nobody validates, nothing may follow the validation UAR."""
        if self.features.by_fold:
            reason = "auto is chosen by validation speakers, and with 'folds.kind: all' nobody validates"
            raise problem("features.layer", f"{reason}; give middle or a number")
        training, reason = self.training, "reads the validation UAR, and with 'folds.kind: all' nobody validates"
        if training.plateau is not None:
            key = "plateau_patience" if training.plateau_patience else "schedule.type"
            advice = "set it to 0" if training.plateau_patience else "take 'constant' or 'cosine'"
            raise problem(f"training.{key}", f"{reason}; {advice}")
        if training.patience:
            raise problem("training.patience", f"{reason}; set it to 0, and training.max_epochs to a number of epochs")

    def _check_tap(self) -> None:
        if not isinstance(self.encoder, Convolutional):
            reason = f"encoder {self.encoder.type} has no blocks for CTC; leave CTC out"
            raise problem(self._ctc_key, reason)
        if self.ctc.tap > (blocks := len(self.encoder.channels)):
            raise problem("ctc.tap", f"{self.ctc.tap} is beyond the {blocks} blocks of encoder")

    @property
    def _ctc_key(self) -> str:
        """The setting that asks for CTC."""
        if self.training.ctc_weight:
            return "training.ctc_weight"
        return f"systems.{next(filter(self.has_ctc, self.systems))}.losses"

    @property
    def uses_ctc(self) -> bool:
        """Whether any system is trained with a CTC loss."""
        return bool(self.training.ctc_weight) or any(map(self.has_ctc, self.systems))

    def has_ctc(self, name: str) -> bool:
        """Whether a system is trained with a CTC loss."""
        return any(loss.type == "ctc" for loss in self.system(name).training_losses(self.training.ctc_weight))

    @property
    def frontend_name(self) -> str:
        """The front-end's name as a folder name (``package.module:Class`` has a colon, which ark paths cannot have)."""
        return self.frontend.replace(":", ".")

    @property
    def frontend_settings(self) -> dict[str, Any]:
        """What `trnet.frontend.build_frontend` takes."""
        return {"frontend": self.frontend, "frontend_conf": self.frontend_conf}

    def system(self, name: str) -> System:
        """One system by name.

        Raises:
            TrnetError: Listing the names if there is no such system.
        """
        if name not in self.systems:
            raise TrnetError(f"--systems {name}: no such system{nearest(name, list(self.systems))}")
        return self.systems[name]

    def model(self, name: str) -> ModelConfig:
        """What the network of a system is built from."""
        shared = {key: getattr(self, key) for key in NetworkConf.model_fields}
        return ModelConfig(system=self.system(name), **shared)

    @property
    def gate_features(self) -> Fbank | None:
        """Log-mels that the gate reads where the features are others; None without a gate, or where they are not."""
        return next(filter(None, (self.model(name).gate_features for name in self.systems)), None)

    def mixes_waveforms(self, name: str) -> bool:
        """Whether Eq. 4 of a system mixes waveforms."""
        return self.model(name).mixes_waveforms

    def needs(self, name: str) -> set[str]:
        """What the losses of a system read: clean, h_s, snr, noisy, enhanced, text; and "teacher", see `LossConf`."""
        losses = self.system(name).training_losses(self.training.ctc_weight)
        return {field for loss in losses for field in loss.needs}

    def needs_teacher(self, name: str) -> bool:
        """Whether the teacher is part of a system's losses, or its weights are where the system starts."""
        return not self.needs(name).isdisjoint({"h_s", "teacher"}) or self.system(name).init == "teacher"

    def teacher_seeds(self, name: str, seed: int) -> set[int]:
        """Seeds of the teachers that a system's run with a seed needs."""
        system, found = self.system(name), set[int]()
        if "h_s" in self.needs(name):
            found |= set(system.teacher_seeds or [seed])
        if "teacher" in self.needs(name) or system.init == "teacher":
            found.add(seed)
        return found

    def target_kind(self, name: str) -> str | None:
        """The kind of features, noisy or enhanced, that X_s is of clean speech; None without a loss that reads it."""
        if "clean" not in self.needs(name):
            return None
        return "noisy" if self.system(name).target == "clean" else "enhanced"


def load_config(path: Path, overrides: dict[str, Any] | None = None, settings: list[str] | None = None) -> Config:
    """Read an experiment's YAML, under nested `overrides` and, on top of all, texts ``key=value`` of ``--set``.

    Raises:
        TrnetError: In one line for an unknown key (with the nearest one), a wrong type, or a wrong value.
    """
    raw = read_settings(path)
    try:
        config = build(Config, raw)
        if overrides:
            config = build(Config, merge(raw, overrides))
    except TrnetError as error:
        raise TrnetError(f"{path}: {error}; mend it there") from None
    return with_settings(config, settings or [])


def with_settings(config: Config, texts: list[str]) -> Config:
    """The configuration with the texts of ``--set`` on top.

    Raises:
        TrnetError: In one line for an unknown key (with the nearest one), a wrong type, or a wrong value.
    """
    settings = parse_settings(texts)
    systems = settings.get("systems")
    for name, system in systems.items() if isinstance(systems, dict) else ():
        is_new = isinstance(system, dict) and bool({"input", "model"} & set(system))
        if name not in config.systems and not is_new:
            close = nearest(str(name), list(config.systems))
            raise TrnetError(f"--set systems.{name}: no such system (a new one has an 'input' or a 'model'){close}")
    try:
        return build(Config, merge(config.plain(), settings)) if texts else config
    except TrnetError as error:
        raise TrnetError(f"--set: {error}; mend it there") from None
