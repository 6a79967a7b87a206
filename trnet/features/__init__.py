"""Features: from audio to (frames, dim), in memory and in ark/scp.

Somebody's own class is named in YAML as ``features: {type: package.module:Class}``; see `Extractor`.
"""

from functools import lru_cache
from typing import Any, Protocol

from torch import Tensor

from trnet.config import Fbank, Features, load_class, own_code
from trnet.features.fbank import FbankExtractor
from trnet.features.upstream import UpstreamExtractor
from trnet.utils.errors import TrnetError


class Extractor(Protocol):
    """What computes features; made as ``Class(**options)``."""

    sample_rate: int  # of the audio, Hz
    dim: int  # values of a frame

    def num_frames(self, samples: int) -> int:
        """Frames of a clip of so many samples; 0 if it is too short for one."""

    def __call__(self, wav: Tensor) -> Tensor:
        """Clip (samples,) float32 in [-1, 1] -> features (frames, dim) float32."""

    def fingerprint(self) -> dict[str, Any]:
        """All that decides its numbers beside its options, such as a digest of weights; JSON can hold it."""

    # Optional: batch(wavs: Sequence[Tensor]) -> list[Tensor], clips of one length, the same numbers as one by one;
    # to(device: torch.device), from when on it computes there.


EXTRACTORS: dict[str, type] = {"fbank": FbankExtractor, "upstream": UpstreamExtractor}


def make_extractor(options: Features) -> Extractor:
    """The extractor that a section names."""
    if not options.is_own:
        return EXTRACTORS[options.type](**options.options())
    with own_code(options.type):
        extractor = load_class(options.type, "features.type")(**options.options())
        rate, _ = extractor.sample_rate, int(extractor.dim)
    if rate != options.sample_rate:
        raise TrnetError(f"features.sample_rate: {options.type} works at {rate} Hz; set it to that")
    return extractor


@lru_cache(maxsize=16)
def _described(options: str, kind: type[Features]) -> tuple[int, dict[str, Any]]:
    extractor = make_extractor(kind.model_validate_json(options))
    return extractor.dim, extractor.fingerprint()


def feature_dim(options: Features) -> int:
    """Values of a frame, (frames, dim)."""
    if isinstance(options, Fbank):
        return options.num_mel_bins
    return _described(options.model_dump_json(), type(options))[0]


def fingerprint(options: Features) -> dict[str, Any]:
    """What decides the numbers beside the options."""
    return {} if isinstance(options, Fbank) else _described(options.model_dump_json(), type(options))[1]
