"""Corpora whose recordings are labelled one by one, by their names or by a table: all that they have in common."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trnet.corpora.contract import Contract
from trnet.corpora.labels import LabelMap
from trnet.corpora.source import Source, audio_files
from trnet.corpora.speech import Utterance, leave_out_missing, write_speech
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError


@dataclass(frozen=True)
class Spoken:
    """One utterance as its corpus has it.

    Attributes:
        utt: id: the speaker's, then a hyphen (or underscore, if all ids of speakers are of one length), then the rest.
        speaker: who speaks.
        label: emotion, in the corpus's own word.
        audio: the recording; None if it is not there.
        gender: f or m; None where the corpus does not tell.
        text: what is said; may be empty.
        split: train, dev or test..., where the corpus has parts of its own.
    """

    utt: str
    speaker: str
    label: str
    audio: Path | None
    gender: str | None = None
    text: str = ""
    split: str | None = None


@dataclass(frozen=True)
class LabelledCorpus:
    """A corpus of speech.

    Attributes:
        source: how it is recognised, and where to get it.
        files: the corpus's folder -> every file that is read: recordings and tables.
        read: the corpus's folder -> its utterances, one by one.
    """

    source: Source
    files: Callable[[Path], list[Path]]
    read: Callable[[Path], Iterable[Spoken]]

    def all_files(self, root: Path) -> list[Path]:
        """Every file that the preparation reads.

        Raises: TrnetError if the corpus is not there.
        """
        return self.files(self.source.locate(root))

    def prepare(
        self,
        root: Path,
        out: Path,
        label_map: LabelMap,
        contract: Contract | None = None,
        nj: int = 1,
        channel: int | None = None,
    ) -> DataDir:
        """Write the data directory `out` of the corpus in `root`; utt2group is the speaker.

        Raises: TrnetError for a missing or incomplete corpus, an unmapped label, unusable audio.
        """
        folder = self.source.locate(root)
        utterances: dict[str, Utterance] = {}
        missing: list[str] = []
        listed: Counter[str] = Counter()
        for said in self.read(folder):
            listed[said.split or "all"] += 1
            emotion = label_map.class_of(said.label, said.utt, folder)
            if emotion is None:
                continue
            if said.audio is None:
                missing.append(said.utt)
                continue
            if said.utt in utterances:
                raise TrnetError(
                    f"{said.audio}: {utterances[said.utt].audio} is the same utterance; keep one of the two"
                )
            utterances[said.utt] = Utterance(
                said.utt, said.speaker, said.gender, said.speaker, emotion, said.text, said.audio, split=said.split
            )
        leave_out_missing(folder, missing, contract)
        return write_speech(root, out, utterances.values(), contract, nj, listed, channel)


def recordings(pattern: str) -> Callable[[Path], list[Path]]:
    """The recordings that lie in folders `pattern` (a glob; ``.`` is the corpus's own folder), in C order."""

    def find(folder: Path) -> list[Path]:
        folders = [folder] if pattern == "." else sorted(path for path in folder.glob(pattern) if path.is_dir())
        return [path for inner in folders for path in audio_files(inner)]

    return find


def named(paths: Iterable[Path], pattern: str, example: str) -> Iterator[tuple[Path, re.Match[str]]]:
    """Each recording with the parts of its name (without suffix) by the regular expression `pattern`.

    Raises: TrnetError for another name; `example` says what one looks like.
    """
    for path in paths:
        match = re.fullmatch(pattern, path.stem)
        if match is None:
            raise TrnetError(f"{path}: is not named like {example}; rename it, or move it out of the corpus's folder")
        yield path, match
