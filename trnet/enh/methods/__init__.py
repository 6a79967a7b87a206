"""Losses and optimizers of each network, by the front-end's name: ``build_method``.

To train another network, write a :class:`Method` and put it into ``METHODS``.
"""

from trnet.enh.config import EnhConfig
from trnet.enh.methods.base import Method, PesqMap
from trnet.enh.methods.cmgan import CmganMethod
from trnet.enh.methods.dccrn import DccrnMethod
from trnet.enh.methods.dpt_fsnet import DptFsnetMethod
from trnet.utils.errors import TrnetError, nearest

METHODS: dict[str, type[Method]] = {"cmgan": CmganMethod, "dccrn": DccrnMethod, "dpt_fsnet": DptFsnetMethod}

__all__ = ["METHODS", "Method", "build_method"]


def build_method(config: EnhConfig, pesq_map: PesqMap) -> Method:
    """The untrained network of a configuration with its losses, which take PESQ from `pesq_map`, and optimizers.

    Raises:
        TrnetError: If there is no method for the front-end, or it rejects the network's configuration or the loss.
    """
    if config.frontend not in METHODS:
        raise TrnetError(f"frontend {config.frontend}: cannot be trained{nearest(config.frontend, list(METHODS))}")
    return METHODS[config.frontend](config, pesq_map)
