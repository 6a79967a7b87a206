"""DCCRN: a complex-valued convolutional recurrent network that masks the complex spectrum.

Hu, Liu, Lv, Xing, Zhang, Fu, Wu, Zhang, Xie: "DCCRN: Deep Complex Convolution Recurrent Network for Phase-Aware
Speech Enhancement", Interspeech 2020.
"""

from trnet.frontend.dccrn.frontend import DccrnFrontEnd
from trnet.frontend.dccrn.network import Dccrn
from trnet.frontend.dccrn.sizes import ARCHITECTURES, DccrnSizes

__all__ = ["ARCHITECTURES", "Dccrn", "DccrnFrontEnd", "DccrnSizes"]
