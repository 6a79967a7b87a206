"""TESS, the Toronto emotional speech set (Pichora-Fuller and Dupuis, 2020): two women, 2800 recordings at 24.4 kHz.

``OAF_back_angry.wav``: speaker (older or younger adult female), word, emotion; all in one folder, or in folders such as
``OAF_angry``. Each says "Say the word ...". One file of the published set lacks a letter: ``OA_bite_neutral.wav``.
"""

from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.source import audio_files, matching
from trnet.corpora.speech import SpeechCorpus, Utterance, named

SPEAKERS = {"OAF": "OAF", "OA": "OAF", "YAF": "YAF"}


def _files(folder: Path) -> list[Path]:
    """The recordings; not those of a second copy that lies deeper in some distributions."""
    return [path for inner in [folder, *matching(folder, "[OY]AF_*")] for path in audio_files(inner)]


def read_tess(folder: Path) -> Iterator[Utterance]:
    """The utterances of TESS, labelled angry, disgust, fear, happy, neutral, ps (pleasant surprise) or sad."""
    for path, match in named(_files(folder), r"(OAF?|YAF)_([a-z]+)_([a-z]+)", "OAF_back_angry.wav"):
        speaker, word, emotion = SPEAKERS[match[1]], match[2], match[3].lower()
        yield Utterance(f"{speaker}_{word}_{emotion}", speaker, emotion, path, "f", f"Say the word {word}")


TESS = SpeechCorpus(
    title="TESS",
    layout="[OY]AF_*",
    origin="doi.org/10.5683/SP2/E8H2MF",
    folders=("TESS", "TESS Toronto emotional speech set data"),
    files=_files,
    read=read_tess,
)
