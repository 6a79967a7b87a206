"""DCCRN: a complex-valued convolutional recurrent network that masks the complex spectrum.

Hu, Liu, Lv, Xing, Zhang, Fu, Wu, Zhang, Xie: "DCCRN: Deep Complex Convolution Recurrent Network for Phase-Aware
Speech Enhancement", Interspeech 2020.
"""

from trnet.frontend.dccrn.config import ARCHITECTURES, DccrnConfig
from trnet.frontend.dccrn.frontend import DccrnFrontEnd
from trnet.frontend.dccrn.network import Dccrn

__all__ = ["ARCHITECTURES", "Dccrn", "DccrnConfig", "DccrnFrontEnd"]
