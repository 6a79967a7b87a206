"""Corpora of speech: what an utterance is, and from the utterances to a data directory."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trnet.corpora.audio_check import check_speech
from trnet.corpora.contract import NO_CONTRACT, Contract
from trnet.corpora.labels import LabelMap
from trnet.corpora.source import Corpus, audio_files, matching
from trnet.kaldi.data_dir import Clip, DataDir, write_data_dir
from trnet.kaldi.paths import entry_for
from trnet.utils.errors import TrnetError
from trnet.utils.text import counted, shorten

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Utterance:
    """One utterance as its corpus has it."""

    utt: str  # the speaker's id, a hyphen (or underscore, if all these are of one length), the rest
    speaker: str  # who speaks
    label: str  # emotion, in the corpus's own word; after the label map: its class
    audio: Path | None  # the recording; None if it is missing
    gender: str | None = None  # f or m; None if unknown
    text: str = ""  # transcription; may be empty
    split: str | None = None  # train, dev or test..., where the corpus has parts of its own
    group: str | None = None  # what a fold holds out together; None: the speaker
    style: str | None = None  # improvised or scripted, where the corpus has it
    where: str | None = None  # ``file:line`` of the label, for messages; None: the recording


@dataclass(frozen=True, kw_only=True)
class SpeechCorpus(Corpus):
    """A corpus of speech; `read`: its folder -> its utterances, one by one."""

    read: Callable[[Path], Iterable[Utterance]]

    def prepare(
        self,
        root: Path,
        out: Path,
        label_map: LabelMap,
        contract: Contract | None = None,
        nj: int = 1,
        channel: int | None = None,
    ) -> DataDir:
        """Write the data directory `out` of the corpus in `root` (or in a folder of it).

        Without a `contract` a part of the corpus will do; `channel` None: the mean of all.

        Raises:
            TrnetError: For a missing or incomplete corpus, an unmapped label, unusable audio.
        """
        folder = self.locate(root)
        kept: dict[str, Utterance] = {}
        listed: Counter[str] = Counter()
        for utterance in self.read(folder):
            utt, where = utterance.utt, utterance.where or str(utterance.audio or folder)
            listed[utterance.split or "all"] += 1
            emotion = label_map.class_of(utterance.label, utt, where)
            if emotion is None:
                continue
            if utt in kept:
                raise TrnetError(f"{where}: {utt} is there twice, first in {kept[utt].where}; keep one of the two")
            kept[utt] = replace(utterance, label=emotion, where=where)
        missing = [utt for utt, utterance in kept.items() if utterance.audio is None]
        _leave_out(folder, missing, contract)
        there = [u for u in kept.values() if u.audio is not None]
        return write_speech(root, out, there, contract, nj, listed, channel)


def _leave_out(folder: Path, missing: Sequence[str], contract: Contract | None) -> None:
    """Warn of utterances without a recording; an error where a contract is to be kept."""
    what = (
        f"{folder}: {counted(len(missing), 'utterance')} of the label files without recording ({shorten(missing, 3)})"
    )
    if missing and contract is not None:
        raise TrnetError(f"{what}; complete the copy, or give --contract {NO_CONTRACT} to prepare it as it is")
    if missing:
        logger.warning("%s; they are left out", what)


def write_speech(
    root: Path,
    out: Path,
    utterances: Iterable[Utterance],
    contract: Contract | None,
    nj: int,
    listed: Mapping[str, int],
    channel: int | None = None,
) -> DataDir:
    """Count the utterances, decode them all, write the tables.

    `listed`: how many utterances the corpus lists in each of its parts, whatever their labels.

    Raises:
        TrnetError: If the counts are not the contract's, nothing is left, or recordings cannot be used.
    """
    utts = {u.utt: u for u in sorted(utterances, key=lambda u: u.utt)}
    if contract is not None:
        contract.check(listed if contract.by == "listed" else _counts(contract.by, utts.values()), root)
    if not utts:
        raise TrnetError(f"{root}: no utterance is kept; complete the copy or widen the label map")
    audio = {utt: u.audio for utt, u in utts.items() if u.audio is not None}
    tables = {
        "utt2dur": check_speech({utt: Clip(path, channel=channel) for utt, path in audio.items()}, nj),
        "wav.scp": {utt: entry_for(path, out / "wav.scp") for utt, path in audio.items()},
        "utt2spk": {utt: u.speaker for utt, u in utts.items()},
        "text": {utt: " ".join(u.text.split()) for utt, u in utts.items()},
        "utt2emo": {utt: u.label for utt, u in utts.items()},
        "utt2group": {utt: u.group or u.speaker for utt, u in utts.items()},
    }
    silent = [utt for utt, text in tables["text"].items() if not text]
    if 0 < len(silent) < len(utts):
        logger.warning("%s without transcription: %s", counted(len(silent), "utterance"), shorten(silent))
    genders = {u.speaker: u.gender for u in utts.values() if u.gender is not None}
    unknown = {u.speaker for u in utts.values()} - genders.keys()
    if unknown:
        logger.info("the corpus does not have the gender of %d speakers: no spk2gender is written", len(unknown))
    else:
        tables["spk2gender"] = genders
    if channel is not None:
        tables["reco2channel"] = dict.fromkeys(utts, str(channel))
    if styles := {utt: u.style for utt, u in utts.items() if u.style is not None}:
        tables["utt2style"] = styles
    if splits := {utt: u.split for utt, u in utts.items() if u.split is not None}:
        tables["utt2split"] = splits
    return write_data_dir(out, tables)


def _counts(by: str, utterances: Iterable[Utterance]) -> Counter[str]:
    """Utterances by cell of a contract: speaker, part or ``all``, and class."""
    rows = {"speaker": lambda u: u.speaker, "split": lambda u: u.split or "none", "corpus": lambda u: "all"}
    return Counter(f"{rows[by](u)} {u.label}" for u in utterances)


def recordings(pattern: str) -> Callable[[Path], list[Path]]:
    """The recordings that lie in folders `pattern` (see `matching`; ``.`` is the corpus's own folder), in C order."""

    def find(folder: Path) -> list[Path]:
        return [path for inner in matching(folder, pattern) for path in audio_files(inner)]

    return find


def named(paths: Iterable[Path], pattern: str, example: str) -> Iterator[tuple[Path, re.Match[str]]]:
    """Each recording with the parts of its name by a regular expression.

    Raises:
        TrnetError: For another name.
    """
    for path in paths:
        match = re.fullmatch(pattern, path.stem)
        if match is None:
            raise TrnetError(f"{path}: is not named like {example}; rename it, or move it out of the corpus's folder")
        yield path, match
