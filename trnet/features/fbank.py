"""Kaldi's log mel filter banks, the LMFB spectrograms X of Section 3.2."""

from typing import Any

from torch import Tensor

from trnet.config.features import Fbank

INT16_SCALE = 32768.0  # Kaldi reads 16-bit integers


class FbankExtractor:
    """Log-mel features, without dither (so that they are a function of the audio); see `trnet.features.Extractor`."""

    def __init__(self, **options: Any) -> None:
        self.options = Fbank(**options)
        self.sample_rate, self.dim = self.options.sample_rate, self.options.num_mel_bins

    def num_frames(self, samples: int) -> int:
        """Frames of a clip of so many samples, at most `max_frames` (Kaldi's snip-edges rule: whole windows only)."""
        return min(self.options.num_frames(samples), self.options.max_frames)

    def __call__(self, wav: Tensor) -> Tensor:
        """Clip (samples,) float32 in [-1, 1] -> (frames, mels) float32, at most `max_frames`.

        Natural logarithm of the mel energies of wav x 32768.

        Raises:
            ValueError: If the clip is shorter than one frame.
        """
        from torchaudio.compliance import kaldi  # here, because it takes a second to import

        assert wav.ndim == 1, wav.shape
        conf = self.options
        if self.num_frames(len(wav)) < 1:
            raise ValueError(f"{len(wav)} samples are shorter than one frame of {conf.frame_length:g} ms")
        lmfb: Tensor = kaldi.fbank(
            wav[None] * INT16_SCALE,
            sample_frequency=conf.sample_rate,
            num_mel_bins=conf.num_mel_bins,
            frame_length=conf.frame_length,
            frame_shift=conf.frame_shift,
            window_type=conf.window,
            low_freq=conf.low_freq,
            high_freq=conf.high_freq,
            dither=0.0,
        )
        return lmfb[: conf.max_frames]

    def fingerprint(self) -> dict[str, Any]:
        """Nothing beside its options."""
        return {}


def fbank(wav: Tensor, options: Fbank) -> Tensor:
    """Log-mels (frames, mels) of one clip (samples,); see `FbankExtractor`."""
    return FbankExtractor(**options.options())(wav)
