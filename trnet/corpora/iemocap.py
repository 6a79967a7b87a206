"""IEMOCAP (Busso et al., 2008), and corpora laid out like it."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trnet.corpora.contract import Contract
from trnet.corpora.labels import LabelMap
from trnet.corpora.source import Source, audio_files, by_stem, read_lines, shorten
from trnet.corpora.speech import Utterance, leave_out_missing, write_speech
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError

IEMOCAP = Source(
    title="IEMOCAP",
    layout="Session[1-5]/dialog/EmoEvaluation/*.txt",
    option="--corpus-dir",
    origin="sail.usc.edu/iemocap (licence form)",
    folders=("IEMOCAP_full_release",),
)
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


def _visible(folder: Path) -> list[Path]:
    """The .txt files of a folder itself, without the ``._*.txt`` that macOS leaves."""
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))


def _sessions(root: Path) -> list[Path]:
    return sorted(path for path in IEMOCAP.locate(root).glob("Session[1-5]") if path.is_dir())


def iemocap_files(root: Path) -> list[Path]:
    """Every file that the preparation reads: labels, transcriptions, sentences.

    Raises: TrnetError if IEMOCAP is not there.
    """
    files: list[Path] = []
    for session in _sessions(root):
        files += _visible(session / "dialog/EmoEvaluation") + _visible(session / "dialog/transcriptions")
        files += audio_files(session / "sentences/wav", recursive=True)
    return files


def _labelled_turns(session: Path) -> Iterator[_Turn]:
    """The majority votes of a session: lines that start with ``[``, third column; evaluators' lines are passed over."""
    for path in _visible(session / "dialog/EmoEvaluation"):
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
    """What is said in each turn of a session."""
    lines = (line for path in _visible(session / "dialog/transcriptions") for line in read_lines(path))
    matches = (TRANSCRIPTION.match(line) for line in lines)
    return {match[1]: match[2] for match in matches if match}


def _utterance(turn: _Turn, emotion: str, text: str, audio: Path) -> Utterance:
    """The speaker is the session and the letter of the last field: the first letter is who wears the markers."""
    number, _, kind, _, _, _, letter, _ = TURN.match(turn.name).groups()
    speaker = f"Ses{number}{letter}"
    utt = f"{speaker}-{turn.name}"
    return Utterance(utt, speaker, letter.lower(), f"Ses{number}", emotion, text, audio, STYLES[kind])


def _session_utterances(session: Path, label_map: LabelMap, missing: list[str]) -> Iterator[Utterance]:
    """The kept utterances of a session; turns without a recording are added to `missing`."""
    texts = _transcriptions(session)
    recordings: dict[str, dict[str, Path]] = {}
    seen: dict[str, str] = {}
    for turn in _labelled_turns(session):
        if turn.name in seen:
            raise TrnetError(f"{turn.where}: {turn.name} is labelled in {seen[turn.name]} too; delete one of the two")
        seen[turn.name] = turn.where
        emotion = label_map.class_of(turn.label, turn.name, turn.where)
        if emotion is None:
            continue
        folder = session / "sentences/wav" / turn.dialog
        if turn.dialog not in recordings:
            recordings[turn.dialog] = by_stem(audio_files(folder))
        audio = recordings[turn.dialog].get(turn.name)
        if audio is None:
            missing.append(turn.name)
            continue
        yield _utterance(turn, emotion, texts.get(turn.name, ""), audio)


def prepare_iemocap(
    root: Path,
    out: Path,
    label_map: LabelMap,
    contract: Contract | None = None,
    nj: int = 1,
    channel: int | None = None,
) -> DataDir:
    """Write the data directory `out` of IEMOCAP in `root` (``IEMOCAP_full_release`` or the folder above it).

    Utterances are named ``Ses01M-Ses01F_impro01_M000``; utt2group is the session; utt2style tells improvised from
    scripted.
    Raises: TrnetError for a missing or incomplete corpus, an unmapped label, unusable audio.
    """
    missing: list[str] = []
    utterances = [u for s in _sessions(root) for u in _session_utterances(s, label_map, missing)]
    leave_out_missing(root, missing, contract)
    untold = sorted(u.utt for u in utterances if not u.text)
    if untold:
        print(f"warning: {len(untold)} utterances without transcription: {shorten(untold)}", file=sys.stderr)
    return write_speech(root, out, utterances, contract, nj, channel=channel)
