"""SAVEE (Haq and Jackson, 2010): four British men, 480 recordings at 44.1 kHz.

``AudioData/DC/sa01.wav``, or ``ALL/DC_sa01.wav``: speaker, emotion, sentence. The wording of the sentences is not part
of the corpus's files: `text` is empty.
"""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.speech import SpeechCorpus, Utterance, named, recordings

SPEAKERS = "DC|JE|JK|KL"


def read_savee(folder: Path) -> Iterator[Utterance]:
    """The utterances of SAVEE, labelled a, d, f, h, n, sa or su."""
    pattern = rf"(?:({SPEAKERS})_)?(a|d|f|h|n|sa|su)(\d\d)"
    for path, match in named(SAVEE.files(folder), pattern, "DC/sa01.wav or DC_sa01.wav"):
        speaker = match[1] or path.parent.name
        yield Utterance(f"{speaker}_{match[2]}{match[3]}", speaker, match[2], path, "m")


def _files(folder: Path) -> list[Path]:
    folders = ["ALL"] if (folder / "ALL").is_dir() else SPEAKERS.split("|")
    return [path for name in folders for path in recordings(name)(folder)]


SAVEE = SpeechCorpus(
    title="SAVEE",
    layout="*/*sa01.*",
    origin="kahlan.eps.surrey.ac.uk/savee (on request)",
    folders=("AudioData", "SAVEE/AudioData", "SAVEE"),
    files=_files,
    read=read_savee,
)
