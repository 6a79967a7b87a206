"""Settings of the features that the SER module is given, and of the part of an utterance that is cropped for them."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from trnet.config.parts import Part, chosen
from trnet.config.section import later, problem, within


class Features(Part):
    """What the options of all kinds of features have."""

    sample_rate: int = within(16000, 4000, 192_000)  # Hz
    pad: Literal["none", "repeat"] = "none"  # repeat the waveform up to `span`, as the authors' release does
    compression: Literal[3, 0] = 3  # kaldiio's compression_method; 3 is two bytes a value, 0 none

    @property
    def span(self) -> int:
        """Samples that an utterance is cropped to."""
        raise NotImplementedError(f"{type(self).__name__} has to define span")


class OwnFeatures(Features):
    """Those of somebody's own class, whose options are there beside these."""

    max_seconds: float = within(5.015, 0.01, 600)  # longer speech is cropped; 5.015 s are the paper's 500 frames

    @property
    def span(self) -> int:
        """Samples that an utterance is cropped to."""
        return round(self.max_seconds * self.sample_rate)


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


FEATURES: dict[str, type[Part]] = {"fbank": Fbank}

AnyFeatures = Annotated[Features, chosen(FEATURES, OwnFeatures)]
