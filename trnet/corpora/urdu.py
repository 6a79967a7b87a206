"""URDU (Latif et al., FIT 2018): 400 utterances of Urdu talk shows, 44.1 kHz.

``Angry/SM1_F10_A010.wav``: sex and number of the speaker, number of the file, emotion and number. There is no text.
"""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.speech import SpeechCorpus, Utterance, named, recordings


def _files(folder: Path) -> list[Path]:
    return [path for name in ("Angry", "Happy", "Neutral", "Sad") for path in recordings(name)(folder)]


def read_urdu(folder: Path) -> Iterator[Utterance]:
    """The utterances of URDU, labelled A, H, N or S by their names."""
    for path, match in named(_files(folder), r"(S([MF])\d+)_F\d+_([AHNS])\d+", "SM1_F10_A010.wav"):
        yield Utterance(f"{match[1]}-{path.stem}", match[1], match[3], path, match[2].lower())


URDU = SpeechCorpus(
    title="URDU",
    layout="Angry/S[MF]*",
    origin="siddiquelatif/URDU-Dataset on GitHub",
    folders=("URDU", "URDU-Dataset", "URDU-Dataset-master"),
    files=_files,
    read=read_urdu,
)
