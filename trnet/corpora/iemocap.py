"""IEMOCAP (Busso et al., 2008), and corpora laid out like it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trnet.corpora.source import audio_files, by_stem, matching, read_lines
from trnet.corpora.speech import SpeechCorpus, Utterance
from trnet.utils.errors import TrnetError

# session, wearer of the markers, kind, dialog and its parts, who speaks, turn
TURN = re.compile(r"^Ses(0[1-5])([FM])_(impro|script)(\d\d)(?:_(\d))?([a-z]?)_([FM])(\d{3})$")
TRANSCRIPTION = re.compile(r"^(Ses\S+)\s*\[[^\]]*\]\s*:\s*(.*)$")
STYLES = {"impro": "improvised", "script": "scripted"}


@dataclass(frozen=True)
class _Turn:
    """A labelled turn as the label files name it."""

    name: str
    label: str
    where: str  # file:line

    @property
    def dialog(self) -> str:
        return self.name.rsplit("_", 1)[0]


def _sessions(folder: Path) -> list[Path]:
    return [path for path in matching(folder, "Session[1-5]") if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    files: list[Path] = []
    for session in _sessions(folder):
        files += matching(session, "dialog/EmoEvaluation/*.txt") + matching(session, "dialog/transcriptions/*.txt")
        files += audio_files(session / "sentences/wav", recursive=True)
    return files


def _labelled_turns(session: Path) -> Iterator[_Turn]:
    """The majority votes of a session: lines that start with ``[``, third column; evaluators' lines are passed over."""
    for path in matching(session, "dialog/EmoEvaluation/*.txt"):
        lines = read_lines(path)
        if not any(line.startswith("[") for line in lines):
            raise TrnetError(f"{path}: has no labelled turn, a line '[...'; take the corpus's own file")
        for number, line in enumerate(lines, 1):
            if not line.startswith("["):
                continue
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) < 3 or not TURN.match(cells[1]):
                raise TrnetError(f"{path}:{number}: '{line.strip()}' is no labelled turn; take the corpus's own file")
            yield _Turn(cells[1], cells[2], f"{path}:{number}")


def _transcriptions(session: Path) -> dict[str, str]:
    """Transcription of each turn of a session."""
    lines = (line for path in matching(session, "dialog/transcriptions/*.txt") for line in read_lines(path))
    matches = (TRANSCRIPTION.match(line) for line in lines)
    return {match[1]: match[2] for match in matches if match}


def _utterance(turn: _Turn, text: str, audio: Path | None) -> Utterance:
    """The speaker is the session and the letter of the last field: the first letter is who wears the markers."""
    match = TURN.match(turn.name)
    assert match is not None, turn
    number, _, kind, _, _, _, letter, _ = match.groups()
    speaker = f"Ses{number}{letter}"
    return Utterance(
        f"{speaker}-{turn.name}",
        speaker,
        turn.label,
        audio,
        letter.lower(),
        text,
        group=f"Ses{number}",
        style=STYLES[kind],
        where=turn.where,
    )


def read_iemocap(folder: Path) -> Iterator[Utterance]:
    """The turns of IEMOCAP, labelled by the majority of evaluators: ang, hap, exc, neu, sad, fru, ... or xxx.

    Utterances are named ``Ses01M-Ses01F_impro01_M000``; a fold holds out a session; style is improvised or scripted.

    Raises:
        TrnetError: For label files without turns, or recordings of one name.
    """
    for session in _sessions(folder):
        texts = _transcriptions(session)
        recordings: dict[str, dict[str, Path]] = {}
        for turn in _labelled_turns(session):
            if turn.dialog not in recordings:
                recordings[turn.dialog] = by_stem(audio_files(session / "sentences/wav" / turn.dialog))
            yield _utterance(turn, texts.get(turn.name, ""), recordings[turn.dialog].get(turn.name))


IEMOCAP = SpeechCorpus(
    title="IEMOCAP",
    layout="Session[1-5]/dialog/EmoEvaluation/*.txt",
    origin="sail.usc.edu/iemocap (licence form)",
    folders=("IEMOCAP_full_release",),
    files=_files,
    read=read_iemocap,
)
