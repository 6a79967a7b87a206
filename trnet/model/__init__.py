"""The networks of the paper, equation by equation, and `build_model`."""

from typing import Any

from torch import nn

from trnet.config.experiment import Classifier, Encoder, Gate, Pooling
from trnet.config.sections import build
from trnet.model.ser import SER
from trnet.model.trnet import TRNet
from trnet.utils.errors import TrnetError, nearest
from trnet.utils.numbers import whole

MODELS = ("ser", "trnet")
KEYS = ("num_mels", "num_classes", "encoder", "pooling", "classifier", "gate", "bridge")


def build_model(config: dict[str, Any]) -> nn.Module:
    """Build a network.

    Args:
        config: ``{"model": "ser" | "trnet", "model_conf": {...}}`` with the keys num_mels and num_classes, the sections
            encoder, pooling and classifier of `trnet.config`, and for trnet also gate (a section) and bridge (bool).

    Raises: TrnetError for an unknown model or key.
    """
    name, conf = config.get("model"), dict(config.get("model_conf", {}))
    if name not in MODELS:
        raise TrnetError(f"model '{name}': no such model{nearest(str(name), MODELS)}")
    for key in conf:
        if key not in KEYS:
            raise TrnetError(f"model_conf: unknown key '{key}'{nearest(key, KEYS)}")
    try:
        num_mels, num_classes = (whole(conf[key], 1, 100_000) for key in ("num_mels", "num_classes"))
    except KeyError as error:
        raise TrnetError(f"model_conf: key {error} is missing; say how many there are") from None
    except ValueError as error:
        raise TrnetError(f"model_conf: num_mels, num_classes: {error}; say how many there are") from None
    encoder = build(Encoder, conf.get("encoder", {}), "encoder")
    pooling = build(Pooling, conf.get("pooling", {}), "pooling")
    ser = SER(num_mels, num_classes, encoder, pooling, build(Classifier, conf.get("classifier", {}), "classifier"))
    if name == "ser":
        return ser
    return TRNet(num_mels, ser, build(Gate, conf.get("gate", {}), "gate"), bool(conf.get("bridge", True)))
