"""ShEMO (Nezami et al., Language Resources and Evaluation 2019): 87 Persian speakers of radio plays, 3000 recordings.

``female/F03S02.wav``, 44.1 kHz: sex and number of the speaker, emotion, number. ``shemo.json`` has the transcriptions.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.speech import SpeechCorpus, Utterance, named, recordings
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text

TABLE = "shemo.json"


def _files(folder: Path) -> list[Path]:
    return [path for path in [folder / TABLE] if path.is_file()] + recordings("*male")(folder)


def _texts(path: Path) -> dict[str, str]:
    """Transcription of each utterance; none where the file is missing."""
    if not path.is_file():
        return {}
    try:
        return {row["id"]: row["transcript"].strip("\ufeff") for row in json.loads(read_text(path))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise TrnetError(f"{path}: is not a list of id and transcript; take the corpus's own file") from None


def read_shemo(folder: Path) -> Iterator[Utterance]:
    """The utterances of ShEMO, labelled A, F, H, N, S or W by their names."""
    texts = _texts(folder / TABLE)
    for path, match in named(recordings("*male")(folder), r"([FM])(\d\d)([AFHNSW])\d+", "F03S02.wav"):
        speaker = match[1] + match[2]
        yield Utterance(path.stem, speaker, match[3], path, match[1].lower(), texts.get(path.stem, ""))


SHEMO = SpeechCorpus(
    title="ShEMO",
    layout="female",
    origin="pariajm/sharif-emotional-speech-dataset on GitHub",
    folders=("ShEMO", "shemo"),
    files=_files,
    read=read_shemo,
)
