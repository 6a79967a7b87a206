"""SER module (Section 3.3): encoder, pooling, classifier. Alone it is Baseline-c, -n or -e, and the teacher."""

from typing import NamedTuple

from torch import Tensor, nn

from trnet.config.model import ClassifierConf, EncoderConf, PoolingConf
from trnet.model.encoders import encoded_frames, make_encoder
from trnet.model.frames import ValidFrames
from trnet.model.parts import out_dim
from trnet.model.pooling import make_pooling


class SEROutput(NamedTuple):
    """logits (B, classes) and the utterance-level representation h (B, D)."""

    logits: Tensor
    h: Tensor


def make_classifier(dim: int, num_classes: int, conf: ClassifierConf) -> nn.Module:
    """The projection from h (B, D) to logits (B, classes)."""
    if not conf.hidden:
        return nn.Sequential(nn.Dropout(conf.dropout), nn.Linear(dim, num_classes))
    return nn.Sequential(
        nn.Linear(dim, conf.hidden),
        nn.BatchNorm1d(conf.hidden),
        nn.ReLU(),
        nn.Dropout(conf.dropout),
        nn.Linear(conf.hidden, num_classes),
    )


class SER(nn.Module):
    """Features to emotion."""

    def __init__(
        self, dim: int, num_classes: int, encoder: EncoderConf, pooling: PoolingConf, classifier: ClassifierConf
    ) -> None:
        super().__init__()
        self.encoder = make_encoder(dim, encoder)
        self.pooling = make_pooling(out_dim(self.encoder), pooling)
        self.h_dim = out_dim(self.pooling)  # D, size of h
        self.classifier = make_classifier(self.h_dim, num_classes, classifier)

    def encode(self, x: Tensor, frames: ValidFrames) -> tuple[Tensor, ValidFrames]:
        """Features (B, T, F) -> what the encoder makes of them (B, T', D'), and their real frames."""
        y = self.encoder(x, frames)
        return y, encoded_frames(self.encoder, frames, y)

    def represent(self, x: Tensor, frames: ValidFrames) -> Tensor:
        """Features (B, T, F) -> h (B, D)."""
        return self.pooling(*self.encode(x, frames))

    def forward(self, x: Tensor, lengths: Tensor) -> SEROutput:
        """Features (B, T, F) and frame counts (B,), best on the host -> logits and h."""
        assert x.ndim == 3 and lengths.shape == x.shape[:1], (x.shape, lengths.shape)
        h = self.represent(x, ValidFrames(lengths, x.shape[1], x.device))
        return SEROutput(self.classifier(h), h)
