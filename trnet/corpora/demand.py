"""DEMAND (Thiemann et al., ICA 2013): noise of 18 environments, five minutes each, by 16 microphones, cut into 5 s.

``DKITCHEN/ch01.wav`` ... ``ch16.wav``, at 16 or 48 kHz (SCAFE at 48 kHz only). The microphones recorded the same at the
same time: the first one is taken, and an environment is one source. A segment is named ``DKITCHEN-0003``, from 0.
"""

from pathlib import Path

from trnet.corpora.noise import NoiseClip, NoiseCorpus, cut
from trnet.corpora.source import matching

LAYOUT = "[A-Z]*/ch01.wav"


def _files(folder: Path) -> list[Path]:
    return matching(folder, LAYOUT)


def _clips(folder: Path) -> dict[str, NoiseClip]:
    return cut({path.parent.name: path for path in _files(folder)})


DEMAND = NoiseCorpus(
    title="DEMAND",
    layout=LAYOUT,
    option="--demand-dir",
    origin="zenodo.org/records/1227121 (unpack the zip files beside each other)",
    folders=("DEMAND", "demand"),
    files=_files,
    clips=_clips,
)
