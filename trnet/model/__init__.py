"""The networks of the paper, equation by equation, and `build_model`."""

from typing import Any

from torch import nn

from trnet.config import Section, build, within
from trnet.config.model import AnyEncoder, AnyPooling, AttentionConf, ClassifierConf, GateConf, Residual
from trnet.model.ser import SER
from trnet.model.trnet import TRNet
from trnet.utils.errors import TrnetError, nearest

MODELS = ("ser", "trnet")


class _ModelConf(Section):
    num_mels: int = within(..., 1, 100_000)
    num_classes: int = within(..., 1, 100_000)
    encoder: AnyEncoder = Residual()
    pooling: AnyPooling = AttentionConf()
    classifier: ClassifierConf = ClassifierConf()
    gate: GateConf = GateConf()
    bridge: bool = True


def build_model(config: dict[str, Any]) -> nn.Module:
    """Build a network that takes log-mels, without a configuration of an experiment around it.

    Args:
        config: ``{"model": "ser" | "trnet", "model_conf": {...}}`` with the keys num_mels and num_classes, the sections
            encoder, pooling and classifier of `trnet.config`, and for trnet also gate (a section) and bridge (bool).

    Raises:
        TrnetError: For an unknown model or key.
    """
    name = config.get("model")
    if name not in MODELS:
        raise TrnetError(f"model '{name}': no such model{nearest(str(name), MODELS)}")
    conf = build(_ModelConf, dict(config.get("model_conf", {})), "model_conf")
    if conf.gate.mix == "waveform":
        raise TrnetError("model_conf.gate.mix: waveform needs a pretrained network behind features; set it to features")
    ser = SER(conf.num_mels, conf.num_classes, conf.encoder, conf.pooling, conf.classifier)
    return ser if name == "ser" else TRNet(conf.num_mels, ser, conf.gate, conf.bridge)
