"""Settings of the features that the SER module is given, and of the part of an utterance that is cropped for them."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import field_validator, model_validator

from trnet.config.parts import Part, chosen
from trnet.config.section import later, problem, within
from trnet.utils.numbers import shown


class Features(Part):
    """What the options of all kinds of features have."""

    sample_rate: int = within(16000, 4000, 192_000)  # Hz
    pad: Literal["none", "repeat"] = "none"  # repeat the waveform up to `span`, as the authors' release does
    compression: Literal[3, 0] = 3  # kaldiio's compression_method; 3 is two bytes a value, 0 none

    @property
    def span(self) -> int:
        """Samples that an utterance is cropped to."""
        raise NotImplementedError(f"{type(self).__name__} has to define span")

    @property
    def folder(self) -> str:
        """Of dumped features below ``dump``; empty for log-mels."""
        return ""

    @property
    def known_dim(self) -> int | None:
        """Values of a frame; None: only the extractor knows."""
        return None

    @property
    def in_half(self) -> bool:
        """Whether features are kept in memory in float16 (log-mels are in float32)."""
        return False

    @property
    def scaled(self) -> bool:
        """Whether each dimension is scaled by statistics of the training speakers."""
        return False

    @property
    def by_fold(self) -> bool:
        """Whether each fold has its own, see `trnet.runs.layer_choice`."""
        return False


class OwnFeatures(Features):
    """Those of somebody's own class, whose options are there beside these."""

    max_seconds: float = within(5.015, 0.01, 600)  # longer speech is cropped; 5.015 s are the paper's 500 frames

    @property
    def span(self) -> int:
        """Samples that an utterance is cropped to."""
        return round(self.max_seconds * self.sample_rate)

    @property
    def folder(self) -> str:
        """Name of the class, such as ``my_parts-Envelope``."""
        return re.sub(r"[^\w.-]", "-", self.type)


class Fbank(Features):
    """Section 4.2: 80-d log mel filter banks (LMFB), 25 ms frames every 10 ms, at most 500 of them."""

    type: Literal["fbank"] = later("fbank")
    num_mel_bins: int = within(80, 1, 1024)
    frame_length: float = within(25.0, 1, 1000)  # ms
    frame_shift: float = within(10.0, 1, 1000)  # ms
    window: Literal["povey", "hamming", "hanning", "rectangular", "blackman"] = "povey"
    low_freq: float = within(20.0, 0, 96_000)  # Hz
    high_freq: float = within(0.0, 0, 96_000)  # Hz; 0 is half the sampling rate
    max_frames: int = within(500, 1, 100_000)  # longer speech is cropped

    @model_validator(mode="after")
    def _check_band(self) -> Self:
        if self.low_freq >= (self.high_freq or self.sample_rate / 2) or self.high_freq > self.sample_rate / 2:
            raise problem(
                "low_freq",
                f"{self.low_freq} must lie below high_freq {self.high_freq} (0: half the sampling rate), and both "
                f"within half of sample_rate {self.sample_rate}",
            )
        return self

    @property
    def known_dim(self) -> int | None:
        """A value for each filter."""
        return self.num_mel_bins

    @property
    def window_samples(self) -> int:
        """Samples of a frame."""
        return round(self.frame_length * self.sample_rate / 1000)

    @property
    def shift_samples(self) -> int:
        """Samples from one frame to the next."""
        return round(self.frame_shift * self.sample_rate / 1000)

    @property
    def span(self) -> int:
        """Samples that an utterance is cropped to: those of `max_frames` frames."""
        return self.window_samples + (self.max_frames - 1) * self.shift_samples

    def num_frames(self, samples: int) -> int:
        """Frames of so many samples (Kaldi's snip-edges rule: whole windows only)."""
        return max(0, 1 + (samples - self.window_samples) // self.shift_samples)


class Upstream(Features):
    """Hidden states of a pretrained network that transformers loads (Whisper, WavLM, HuBERT, wav2vec 2.0, ...)."""

    type: Literal["upstream"] = "upstream"
    model: str  # id on the Hugging Face hub, or folder
    revision: str = ""  # of the hub's repository; empty: its newest
    layer: int | list[int] | Literal["middle", "auto"] = "middle"
    # k: hidden_states[k], 0 is what the first layer reads | several: their mean | middle: of the middle third | auto:
    # each fold's own, the one that linear probes on its validation speakers prefer (stage 4 runs them)
    max_seconds: float = within(5.015, 0.01, 600)  # longer speech is cropped; 5.015 s are the paper's 500 frames
    window: float = within(30.0, 1, 600)  # seconds that the network reads at a time; longer speech is cut

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str) -> str:
        if not PurePosixPath(model).name:
            raise problem("", "name a folder, or an id of the Hugging Face hub such as openai/whisper-base")
        return model

    @field_validator("layer", mode="before")
    @classmethod
    def _check_layer(cls, layer: Any) -> Any:
        numbers = layer if isinstance(layer, list) else [0 if layer in ("middle", "auto") else layer]
        whole = numbers and all(type(number) is int and number >= 0 for number in numbers)
        if not whole or len(set(numbers)) < len(numbers):
            raise problem("", f"{shown(layer)} is no layer; give middle, auto, a number from 0 on, or a list of them")
        return layer

    @property
    def span(self) -> int:
        """Samples that an utterance is cropped to."""
        return round(self.max_seconds * self.sample_rate)

    @property
    def network_name(self) -> str:
        """Name of the network as a part of a folder's name, such as ``whisper-base``."""
        return re.sub(r"[^\w.-]", "-", PurePosixPath(self.model).name).lstrip(".") or "upstream"

    @property
    def folder(self) -> str:
        """Name of network and layer, such as ``whisper-base_middle``."""
        layers = self.layer if isinstance(self.layer, list) else [self.layer]
        return f"{self.network_name}_{'+'.join(map(str, layers))}"

    @property
    def in_half(self) -> bool:
        """Hidden states are wide: float16 errs less than the archives' two bytes do."""
        return True

    @property
    def scaled(self) -> bool:
        """Hidden states have dimensions a hundred times as large as others."""
        return True

    @property
    def by_fold(self) -> bool:
        """Layer ``auto`` is another in each fold."""
        return self.layer == "auto"

    def record(self) -> dict[str, Any]:
        """Without where the network lies, and the layer's name: the fingerprint has digest and numbers."""
        return {key: value for key, value in super().record().items() if key not in ("model", "revision", "layer")}


FEATURES: dict[str, type[Part]] = {"fbank": Fbank, "upstream": Upstream}

AnyFeatures = Annotated[Features, chosen(FEATURES, OwnFeatures)]
