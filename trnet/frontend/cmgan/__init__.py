"""CMGAN front-end: a conformer-based metric GAN's generator, 1.8 M parameters, for 16 kHz speech.

Cao, Abdulatif, Yang: "CMGAN: Conformer-based Metric GAN for Speech Enhancement", Interspeech 2022. Written
anew; the names of the parameters are those of the authors' checkpoints (github.com/ruizhecao96/CMGAN, MIT),
which load unchanged.
"""

from trnet.frontend.cmgan.frontend import CmganFrontEnd
from trnet.frontend.cmgan.network import TscNet

__all__ = ["CmganFrontEnd", "TscNet"]
