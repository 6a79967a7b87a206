"""From a corpus's utterances to a data directory of speech."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trnet.corpora.audio_check import check_speech
from trnet.corpora.contract import NO_CONTRACT, Contract
from trnet.corpora.source import shorten
from trnet.kaldi.data_dir import Clip, DataDir, write_data_dir
from trnet.kaldi.paths import entry_for
from trnet.utils.errors import TrnetError


@dataclass(frozen=True)
class Utterance:
    """One utterance that is kept.

    Attributes:
        utt: id, starting with the speaker's.
        speaker: who speaks.
        gender: f or m; None where the corpus does not tell.
        group: what a fold holds out together.
        emotion: class, after the label map.
        text: what is said; may be empty.
        audio: the recording.
        style: improvised or scripted, where the corpus tells.
        split: train, dev or test..., where the corpus has parts of its own.
    """

    utt: str
    speaker: str
    gender: str | None
    group: str
    emotion: str
    text: str
    audio: Path
    style: str | None = None
    split: str | None = None


def leave_out_missing(folder: Path, missing: Sequence[str], contract: Contract | None) -> None:
    """Say which utterances of the label files have no recording: an error, or a warning where nothing is counted.

    Raises: TrnetError if recordings are missing and there is a contract to keep.
    """
    told = f"{folder}: {len(missing)} utterances of the label files have no recording ({shorten(missing, 3)})"
    if missing and contract is not None:
        raise TrnetError(f"{told}; complete the copy, or give --contract {NO_CONTRACT} to prepare it as it is")
    if missing:
        print(f"warning: {told}; they are left out", file=sys.stderr)


def write_speech(
    root: Path,
    out: Path,
    utterances: Iterable[Utterance],
    contract: Contract | None,
    nj: int,
    listed: Mapping[str, int] | None = None,
    channel: int | None = None,
) -> DataDir:
    """Count the utterances, decode them all, write the tables.

    `listed`: how many utterances the corpus lists in each of its parts, where it does. `channel`: the one that is taken
    where a recording has several; None: their mean.

    Raises: TrnetError if the counts are not the contract's, nothing is left, or recordings cannot be used.
    """
    utts = {u.utt: u for u in sorted(utterances, key=lambda u: u.utt)}
    if contract is not None and contract.by == "listed":
        if listed is None:
            raise TrnetError(f"{contract.path}: 'by: listed' is not for this corpus; count by speaker and class")
        contract.check(listed, root)
    elif contract is not None:
        contract.check(Counter(f"{_counted_by(contract, u)} {u.emotion}" for u in utts.values()), root)
    if not utts:
        raise TrnetError(f"{root}: no utterance is kept; complete the copy or widen the label map")
    wav_scp = {name: entry_for(u.audio, out / "wav.scp") for name, u in utts.items()}
    tables = {
        "utt2dur": check_speech({name: Clip(u.audio, channel=channel) for name, u in utts.items()}, nj),
        "wav.scp": wav_scp,
        "utt2spk": {name: u.speaker for name, u in utts.items()},
        "text": {name: " ".join(u.text.split()) for name, u in utts.items()},
        "utt2emo": {name: u.emotion for name, u in utts.items()},
        "utt2group": {name: u.group for name, u in utts.items()},
    }
    genders = {u.speaker: u.gender for u in utts.values() if u.gender is not None}
    untold = {u.speaker for u in utts.values()} - genders.keys()
    if untold:
        print(f"the corpus does not tell the gender of {len(untold)} speakers: no spk2gender is written")
    else:
        tables["spk2gender"] = genders
    if channel is not None:
        tables["reco2channel"] = dict.fromkeys(utts, str(channel))
    for table, kept in (("utt2style", "style"), ("utt2split", "split")):
        values = {name: getattr(u, kept) for name, u in utts.items() if getattr(u, kept) is not None}
        if values:
            tables[table] = values
    return write_data_dir(out, tables)


def _counted_by(contract: Contract, utterance: Utterance) -> str:
    """The first word of an utterance's cell."""
    return {"speaker": utterance.speaker, "split": utterance.split or "none", "corpus": "all"}[contract.by]
