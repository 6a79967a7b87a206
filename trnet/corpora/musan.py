"""The noise of MUSAN (Snyder et al., 2015): ``noise/free-sound`` (not ``noise/sound-bible``), cut into 5 s.

A segment is named ``<recording>-0003``, counted from 0; what is left at a recording's end is not used.
"""

from pathlib import Path

from trnet.corpora.noise import NoiseClip, NoiseCorpus, cut
from trnet.corpora.source import audio_files, by_stem

LAYOUT = "noise/free-sound"


def _files(folder: Path) -> list[Path]:
    return audio_files(folder / LAYOUT)


def _clips(folder: Path) -> dict[str, NoiseClip]:
    return cut(by_stem(_files(folder)))


MUSAN = NoiseCorpus(
    title="MUSAN",
    layout=LAYOUT,
    option="--musan-dir",
    origin="openslr.org/17",
    folders=("musan",),
    files=_files,
    clips=_clips,
)
