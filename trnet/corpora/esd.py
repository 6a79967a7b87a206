"""ESD, the emotional speech dataset (Zhou et al., ICASSP 2021): 10 Mandarin and 10 English speakers, 35000 recordings.

``0011/Angry/0011_000351.wav``, or the same below ``train``, ``evaluation`` and ``test``, 16 kHz; ``0011/0011.txt`` has
the transcriptions, a line each. Those parts are of utterances, not of speakers, and are not used.
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from trnet.corpora.source import audio_files, matching
from trnet.corpora.speech import SpeechCorpus, Utterance, named
from trnet.utils.files import read_bytes

EMOTIONS = ("Angry", "Happy", "Neutral", "Sad", "Surprise")
MEN = {f"{number:04d}" for number in (4, 5, 6, 8, 10, 11, 12, 13, 14, 20)}
LAST_MANDARIN = "0010"
PARTS = ("", "train", "evaluation", "test")
LINE = re.compile(r"(\d{4}_\d{6})\s+(.*?)\s*(\S*)")


def _speakers(folder: Path) -> list[Path]:
    return [path for path in matching(folder, "00[012][0-9]") if path.is_dir()]


def _recordings(speaker: Path, emotion: str) -> list[Path]:
    return [path for part in PARTS for path in audio_files(speaker / emotion / part)]


def _files(folder: Path) -> list[Path]:
    found = [path for speaker in _speakers(folder) for e in EMOTIONS for path in _recordings(speaker, e)]
    return found + [path for s in _speakers(folder) for path in [s / f"{s.name}.txt"] if path.is_file()]


def _decoded(data: bytes, otherwise: str) -> str:
    """The text of a transcript file: UTF-16, UTF-8 or, in some speakers' files, `otherwise`."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode(otherwise, errors="replace")


def _texts(path: Path) -> dict[str, str]:
    """Transcription of each utterance; the last word of a line is the emotion, some lines have blanks for tabs."""
    text = _decoded(read_bytes(path), "gb18030" if path.stem <= LAST_MANDARIN else "cp1252")
    lines = (LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {match[1]: match[2] for match in lines if match}


def read_esd(folder: Path) -> Iterator[Utterance]:
    """The utterances of ESD, labelled Angry, Happy, Neutral, Sad or Surprise by their folder."""
    for speaker in _speakers(folder):
        script, gender = speaker / f"{speaker.name}.txt", "m" if speaker.name in MEN else "f"
        texts = _texts(script) if script.is_file() else {}
        for emotion in EMOTIONS:
            example = f"{speaker.name}_000351.wav"
            for path, _ in named(_recordings(speaker, emotion), rf"{speaker.name}_\d{{6}}", example):
                yield Utterance(path.stem, speaker.name, emotion, path, gender, texts.get(path.stem, ""))


ESD = SpeechCorpus(
    title="ESD",
    layout="00[012][0-9]/Angry",
    origin="HLTSingapore/Emotional-Speech-Data on GitHub",
    folders=("ESD", "Emotion Speech Dataset", "Emotional Speech Dataset (ESD)"),
    files=_files,
    read=read_esd,
)
