"""Hidden states of pretrained networks, loaded by transformers.

weights.py        finds, checks and loads a network
input.py          what each family of networks reads, and how many frames it gives
hidden_states.py  which layers, and their output
extractor.py      from audio to (frames, dim), for `trnet.features`
"""

from trnet.features.upstream.extractor import UpstreamExtractor

__all__ = ["UpstreamExtractor"]
