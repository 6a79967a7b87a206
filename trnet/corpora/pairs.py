"""From pairs of noisy and clean recordings to data directories for training, validation and test."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import model_validator

from trnet.audio.reading import SILENCE_RMS, inspect_audio
from trnet.config import Section, build, problem, read_settings
from trnet.corpora.audio_check import refuse
from trnet.kaldi.data_dir import DataDir, write_data_dir
from trnet.kaldi.paths import entry_for
from trnet.utils.errors import TrnetError
from trnet.utils.names import safe_name
from trnet.utils.text import shorten
from trnet.utils.workers import imap

logger = logging.getLogger(__name__)

RATE = 16000  # Hz, what front-ends are trained at
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class NoisyPair:
    """One utterance: its noisy and clean recordings, who speaks, and what is known of the noise."""

    utt: str
    speaker: str
    noisy: Path
    clean: Path
    noise: str | None = None
    snr_db: float | None = None


class SplitPart(Section):
    """Which pairs a part has: of some sets, those of some speakers; [] is all whom no other part names."""

    sets: list[str] = []
    speakers: list[str] = []

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.sets:
            raise problem("sets", "name at least one")
        for name in (*self.sets, *self.speakers):
            safe_name(name, "sets and speakers")
        return self


class Split(Section):
    """The three parts."""

    train: SplitPart
    valid: SplitPart
    test: SplitPart

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = Counter(speaker for name in PARTS for speaker in set(getattr(self, name).speakers))
        if twice := [speaker for speaker, count in named.items() if count > 1]:
            raise problem("", f"speaker {twice[0]} is in two parts; leave it in one")
        for name in PARTS:
            open_ones = [n for n in PARTS if not getattr(self, n).speakers]
            shared = [n for n in open_ones if n != name and set(self[n].sets) & set(self[name].sets)]
            if name in open_ones and shared:
                raise problem("", f"{name} and {shared[0]} have a set in common; name the speakers of one of them")
        return self

    def __getitem__(self, name: str) -> SplitPart:
        part: SplitPart = getattr(self, name)
        return part

    @property
    def sets(self) -> list[str]:
        """All sets, each once."""
        return list(dict.fromkeys(name for part in PARTS for name in self[part].sets))

    def pairs_of(self, name: str, sets: Mapping[str, Sequence[NoisyPair]]) -> list[NoisyPair]:
        """The pairs of a part.

        Raises:
            TrnetError: For a speaker that its sets do not have, or a part without pairs.
        """
        part, others = self[name], {s for other in PARTS if other != name for s in self[other].speakers}
        pairs = [pair for set_name in part.sets for pair in sets[set_name]]
        known = {pair.speaker for pair in pairs}
        if unknown := sorted(set(part.speakers) - known):
            raise TrnetError(
                f"{name}: no speaker {unknown[0]} in {' '.join(part.sets)}; there are {shorten(sorted(known))}"
            )
        kept = [p for p in pairs if (p.speaker in part.speakers if part.speakers else p.speaker not in others)]
        if not kept:
            raise TrnetError(f"{name}: all speakers of {' '.join(part.sets)} are in other parts; leave it one")
        return kept


def read_split(path: Path) -> Split:
    """Read the parts from YAML: ``valid: {sets: [trainset_28spk], speakers: [p226, p287]}``."""
    raw = read_settings(path)
    if missing := [name for name in PARTS if name not in raw]:
        raise TrnetError(f"{path}: no part '{missing[0]}'; name train, valid and test")
    try:
        return build(Split, raw)
    except TrnetError as error:
        raise TrnetError(f"{path}: {error}") from None


def _inspect(pair: NoisyPair) -> tuple[str, float | str, int]:
    """Utterance id, its seconds or why the pair cannot be used, and its rate in Hz."""
    try:
        noisy, clean = inspect_audio(pair.noisy), inspect_audio(pair.clean)
    except TrnetError as error:
        return pair.utt, error.reason, 0
    if noisy.sample_rate != clean.sample_rate:
        problem = f"{pair.noisy}: at {noisy.sample_rate} Hz, its partner at {clean.sample_rate} Hz"
        return pair.utt, problem, noisy.sample_rate
    lengths = [round(info.seconds * info.sample_rate) for info in (noisy, clean)]
    if lengths[0] != lengths[1]:
        return pair.utt, f"{pair.noisy}: {lengths[0]} samples, its partner {lengths[1]}", noisy.sample_rate
    for path, info in ((pair.noisy, noisy), (pair.clean, clean)):
        if info.rms < SILENCE_RMS:
            return pair.utt, f"{path}: is silent", noisy.sample_rate
    return pair.utt, noisy.seconds, noisy.sample_rate


def write_pairs(out: Path, pairs: Iterable[NoisyPair], nj: int) -> DataDir:
    """Decode all pairs in `nj` processes and write the tables: wav.scp is noisy, clean.scp its partner.

    Raises:
        TrnetError: Naming pairs that cannot be decoded, are silent, or differ in length or sampling rate.
    """
    by_utt = {pair.utt: pair for pair in pairs}
    utt2dur: dict[str, str] = {}
    bad: list[str] = []
    rates: Counter[int] = Counter()
    for utt, found, rate in imap(_inspect, list(by_utt.values()), nj, "checking pairs", "pair", worth=300):
        rates[rate] += 1
        if isinstance(found, str):
            bad.append(found)
        else:
            utt2dur[utt] = repr(found)
    refuse(sorted(bad), len(by_utt), "pairs")
    for rate, count in sorted(rates.items()):
        if rate != RATE:
            logger.info("%d pairs at %d Hz: resampled to %d Hz when they are read", count, rate, RATE)
    tables = {
        "wav.scp": {utt: entry_for(pair.noisy, out / "wav.scp") for utt, pair in by_utt.items()},
        "clean.scp": {utt: entry_for(pair.clean, out / "clean.scp") for utt, pair in by_utt.items()},
        "utt2spk": {utt: pair.speaker for utt, pair in by_utt.items()},
        "utt2dur": utt2dur,
    }
    if all(pair.snr_db is not None for pair in by_utt.values()):
        tables["utt2snr"] = {utt: f"{pair.snr_db:g}" for utt, pair in by_utt.items()}
    noises = {utt: pair.noise for utt, pair in by_utt.items() if pair.noise is not None}
    if len(noises) == len(by_utt):
        tables["utt2noise"] = noises
    return write_data_dir(out, tables)
