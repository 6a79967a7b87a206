"""Systems: a network together with what it reads of a batch.

Somebody's own is named in YAML as ``systems: {mine: {model: package.module:Class}}``; see `SystemModule`.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from trnet.config import ModelConfig, load_class
from trnet.features import feature_dim
from trnet.model.batch import Batch, Output
from trnet.model.feature_scale import FeatureScale, scaled_batch
from trnet.model.frames import ValidFrames
from trnet.model.parts import make_own
from trnet.model.ser import SER
from trnet.model.trnet import Mels, TRNet
from trnet.utils.errors import TrnetError, first_line
from trnet.utils.seeding import DRAWS


class SystemModule(Protocol):
    """What a system has; it is an `nn.Module` made as ``Class(config: ModelConfig, num_classes: int)``.

    `inputs` are the fields of a batch that it reads, of `noisy` and `enhanced`. Parameters named ``gate.*`` are trained
    with ``gate.lr``. With ``init: teacher`` its `ser`, an SER module, begins with the teacher's weights.
    """

    inputs: tuple[str, ...]

    def __call__(self, batch: Batch) -> Output:
        """Logits (B, classes), h (B, D), and where it has them c (B,) and compensated features (B, T, F)."""


def make_ser(config: ModelConfig, num_classes: int) -> SER:
    """The SER module of a configuration, untrained."""
    dim = feature_dim(config.features)
    return SER(dim, num_classes, config.encoder, config.pooling, config.classifier)


class SERSystem(SER):
    """Baseline-c, -n and -e: the SER module on noisy or on enhanced features."""

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        dim = feature_dim(config.features)
        super().__init__(dim, num_classes, config.encoder, config.pooling, config.classifier)
        self.inputs = config.system.inputs

    def forward(self, batch: Batch) -> Output:  # type: ignore[override]
        """Features of its one input -> logits, h and the encoder's frames."""
        x = batch.noisy if self.inputs == ("noisy",) else batch.enhanced
        assert x is not None
        encoded, frames = self.encode(x, batch.frames)
        h = self.pooling(encoded, frames)
        return Output(self.classifier(h), h, encoded=encoded)


class TRNetSystem(TRNet):
    """TRNet and its ablations, on noisy and enhanced features."""

    inputs = ("noisy", "enhanced")

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        mels = config.gate_features
        num_mels = feature_dim(config.features if mels is None else mels)
        dim = feature_dim(config.features) if config.gate.reads == "features" else 0
        super().__init__(num_mels, make_ser(config, num_classes), config.gate, config.system.bridge, dim)
        self.mixes_waveforms = config.mixes_waveforms

    def forward(self, batch: Batch) -> Output:  # type: ignore[override]
        """Noisy and enhanced features, or waveforms -> logits, h, c, compensated features, the encoder's frames."""
        mels = None
        if batch.noisy_mels is not None and batch.enhanced_mels is not None:
            mels = Mels(batch.noisy_mels, batch.enhanced_mels, batch.mel_frames)
        if self.mixes_waveforms:
            out = self.recognise(*self._of_mixture(batch, mels), batch.frames)
        else:
            assert batch.noisy is not None and batch.enhanced is not None
            out = self.refine(batch.noisy, batch.enhanced, batch.frames, mels)
        return Output(out.logits, out.h, out.c, out.compensated, out.encoded)

    def _of_mixture(self, batch: Batch, mels: Mels | None) -> tuple[Tensor, Tensor]:
        """Eq. 1 to 4 on waveforms: c (B,), and the scaled hidden states X~ (B, T, F) of c x + (1 - c) x_e."""
        x, x_e, lengths = batch.noisy_wav, batch.enhanced_wav, batch.wav_lengths
        assert x is not None and x_e is not None and lengths is not None and batch.hidden_states is not None
        frames = ValidFrames(lengths, x.shape[1], x.device)
        c, mixture = self.gate(x[..., None], x_e[..., None], frames, mels)
        scale: FeatureScale = self.get_submodule("feature_scale")  # type: ignore[assignment]  # of `make_system`
        return c, scale.scaled(batch.hidden_states(mixture[..., 0], lengths), batch.frames)


SYSTEMS: dict[str, type[nn.Module]] = {"ser": SERSystem, "trnet": TRNetSystem}


def make_system(config: ModelConfig, num_classes: int) -> nn.Module:
    """A system, untrained, in channels_last memory (1.5 to 2 times faster on CPU and GPU)."""
    kind = config.system.kind
    with DRAWS:  # initial weights are drawn
        if config.system.is_own:
            system = make_own(load_class(kind, "model"), kind, config, num_classes)
        else:
            system = SYSTEMS[kind](config, num_classes)
    if config.features.scaled:
        system.add_module("feature_scale", FeatureScale(feature_dim(config.features)))
    object.__setattr__(system, "own_classes", tuple(config.own_classes))
    object.__setattr__(system, "class_count", num_classes)
    return system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def run_system(system: nn.Module, batch: Batch) -> Output:
    """What a system of `make_system` gives for a batch of features as they were read.

    Raises:
        TrnetError: Naming somebody's own class that fails.
    """
    return run_scaled(system, scaled_batch(system, batch))


def run_scaled(system: nn.Module, batch: Batch) -> Output:
    """What a system gives for a batch of features, scaled where it wants them scaled; errors as `run_system`."""
    own = ", ".join(getattr(system, "own_classes", ()))
    try:
        output = system(batch)
    except (TrnetError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if not own:
            raise
        raise TrnetError(f"{own}: raised {type(error).__name__}: {first_line(error)}; mend the class") from error
    return check_output(system, output, len(batch.lengths))


def check_output(system: nn.Module, output: Output, size: int) -> Output:
    """The output of a system of `make_system` for `size` utterances.

    Raises:
        TrnetError: Naming somebody's own class that gives something else.
    """
    own = ", ".join(getattr(system, "own_classes", ()))
    if not isinstance(output, Output):
        raise TrnetError(f"{own}: gives {type(output).__name__}; return trnet.model.batch.Output(logits, h)")
    if own:
        _check_shapes(own, output, size, int(system.class_count))  # type: ignore[arg-type]
    return output


def _check_shapes(own: str, output: Output, size: int, classes: int) -> None:
    for name, wanted in (("logits", [size, classes]), ("h", [size, "any"]), ("c", [size])):
        value = getattr(output, name)
        if value is None and name == "c":
            continue
        found = list(getattr(value, "shape", ()))
        if len(found) != len(wanted) or any(b not in (a, "any") for a, b in zip(found, wanted, strict=True)):
            texts = [" x ".join(map(str, each)) or "none" for each in (found, wanted)]
            raise TrnetError(f"{own}: {name} has the shape {texts[0]}, not {texts[1]}; mend the class")


def ser_weights(ser: SER) -> dict[str, Tensor]:
    """The weights of an SER module alone: one that is a system of its own also has its `feature_scale`."""
    return {key: value for key, value in ser.state_dict().items() if not key.startswith("feature_scale.")}


def ser_module(system: nn.Module) -> SER:
    """The SER module within a system.

    Raises:
        TrnetError: If it has none.
    """
    found = system if isinstance(system, SER) else getattr(system, "ser", None)
    if not isinstance(found, SER):
        raise TrnetError(f"{type(system).__name__}: has no SER module 'ser'; leave out 'init: teacher' and CTC")
    return found
