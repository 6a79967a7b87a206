"""DPT-FSNet: transformers along time and along frequency by turns, which mask the complex spectrum.

Dang, Chen, Zhang: "DPT-FSNet: Dual-Path Transformer Based Full-Band and Sub-Band Fusion Network for Speech
Enhancement", ICASSP 2022 (arXiv 2104.13002).
"""

from trnet.frontend.dpt_fsnet.config import DptFsnetConfig
from trnet.frontend.dpt_fsnet.frontend import DptFsnetFrontEnd
from trnet.frontend.dpt_fsnet.network import DptFsnet

__all__ = ["DptFsnet", "DptFsnetConfig", "DptFsnetFrontEnd"]
