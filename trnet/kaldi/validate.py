"""Whether a data directory keeps Kaldi's rules: every breach with file, line and mend."""

from collections.abc import Collection, Iterable
from pathlib import Path

from trnet.kaldi.data_dir import DataDir
from trnet.kaldi.tables import Rows, read_rows
from trnet.kaldi.value_rules import check_values, number_of
from trnet.utils.errors import TrnetError
from trnet.utils.names import safe_name
from trnet.utils.text import shorten

# what directories of speech (spk2gender too, where the corpus has it), of noise, and of pairs of speech must hold
SPEECH_TABLES = ("wav.scp", "utt2spk", "spk2utt", "text", "utt2dur", "utt2emo", "utt2group")
NOISE_TABLES = ("wav.scp", "utt2spk", "spk2utt", "utt2dur", "utt2src")

PAIR_TABLES = ("wav.scp", "clean.scp", "utt2spk", "spk2utt", "utt2dur")

AUDIO = ("wav.scp", "clean.scp")
BY_UTTERANCE = (
    *("text", "utt2dur", "utt2emo", "utt2group", "utt2style", "utt2split", "utt2src", "utt2clean", "utt2noise"),
    *("utt2snr", "feats.scp", "utt2num_frames", "utt2checksum", "clean.scp"),
)
BY_RECORDING = ("wav.scp", "reco2dur", "reco2channel")
ALL = ("utt2spk", "spk2utt", "spk2gender", "segments", *BY_UTTERANCE, *BY_RECORDING)


def valid_data_dir(path: Path, need: Collection[str] = (), audio: bool = True, allow_pipes: bool = False) -> DataDir:
    """A data directory that keeps Kaldi's rules, else TrnetError with the first problems; see `validate_data_dir`."""
    data = DataDir(path, allow_pipes)
    if problems := validate_data_dir(path, need, audio, allow_pipes):
        raise TrnetError(shorten(problems, 3, "; "))
    return data


def validate_data_dir(
    path: Path, need: Collection[str] = (), audio: bool = True, allow_pipes: bool = False
) -> list[str]:
    """All problems of a data directory, each ``file:line: what; mend``; [] if there are none.

    Args:
        need: Tables that must be there beside utt2spk, spk2utt, and wav.scp or feats.scp.
        audio: Whether the recordings must be there; features alone do without.
        allow_pipes: Whether a wav.scp may name commands.
    """
    path = Path(path)
    if not path.is_dir():
        return [f"{path}: no such data directory; run the stage that makes it"]
    problems = [
        f"{path / name}: is missing; run the stage that writes it"
        for name in sorted({"utt2spk", "spk2utt", *need})
        if not (path / name).is_file()
    ]
    if not (path / "wav.scp").is_file() and not (path / "feats.scp").is_file() and "wav.scp" not in need:
        problems.append(f"{path / 'wav.scp'}: is missing, and feats.scp too; run the stage that writes it")
    tables: dict[str, Rows] = {}
    for name in ALL:
        if (path / name).is_file():
            tables[name], found = read_rows(path / name)
            problems += found
    for name, rows in tables.items():
        if audio or name not in AUDIO:
            problems += check_values(name, rows, allow_pipes)
    return problems + _check_names(tables) + _check_keys(tables) + _check_speakers(tables)


def _check_names(tables: dict[str, Rows]) -> list[str]:
    """Ids of utterances become names of files."""
    for utt, row in tables["utt2spk"].items() if "utt2spk" in tables else ():
        try:
            safe_name(utt, f"{tables['utt2spk'].path}:{row.number}")
        except TrnetError as error:
            return [str(error)]
    return []


def _check_keys(tables: dict[str, Rows]) -> list[str]:
    """The utterance tables have the keys of utt2spk, the recording tables those that segments names."""
    if "utt2spk" not in tables:
        return []
    utt2spk = tables["utt2spk"]
    problems = []
    for name in ("segments", *BY_UTTERANCE):
        if name in tables:
            problems += same_keys(utt2spk, tables[name])
    if "segments" in tables:
        segments = tables["segments"]
        recordings = {row.value.split(" ")[0]: row.number for row in segments.values()}
        for name in BY_RECORDING:
            if name in tables:
                problems += differing(tables[name], recordings, segments.path, "names", "recording")
        problems += _check_ends(segments, tables.get("reco2dur"))
    else:
        for name in BY_RECORDING:
            if name in tables:
                problems += same_keys(utt2spk, tables[name])
    if "spk2gender" in tables:
        speakers = {row.value: row.number for row in utt2spk.values()}
        problems += differing(tables["spk2gender"], speakers, utt2spk.path, "names", "speaker")
    return problems


def _check_ends(segments: Rows, reco2dur: Rows | None) -> list[str]:
    """No segment ends after its recording (by more than a sample's rounding)."""
    for utt, row in segments.items():
        recording, *span = row.value.split()
        known = reco2dur.get(recording) if reco2dur else None
        if known and len(span) == 2 and number_of(span[1]) > number_of(known.value) + 1e-3:
            return [
                f"{segments.path}:{row.number}: {utt} ends at {span[1]} s, after its recording {recording} "
                f"({known.value} s); shorten or remove it"
            ]
    return []


def same_keys(first: Rows, second: Rows) -> list[str]:
    """Problems where two tables have not the same keys."""
    return differing(second, {key: row.number for key, row in first.items()}, first.path, "has", "utterance")


def differing(rows: Rows, expected: dict[str, int], source: Path, verb: str, what: str) -> list[str]:
    """Problems where the keys of `rows` are not `expected` (key -> its line in `source`)."""
    problems = []
    lacking = sorted(set(expected) - set(rows))
    if lacking:
        problems.append(
            f"{source}:{expected[lacking[0]]}: {what} {shorten(lacking, 3)} is not in {rows.path.name}; "
            f"add it there, or remove it here"
        )
    surplus = sorted(set(rows) - set(expected))
    if surplus:
        problems.append(
            f"{rows.path}:{rows[surplus[0]].number}: {what} {shorten(surplus, 3)}: no line of {source.name} {verb} it; "
            "remove it here, or add it there"
        )
    return problems


def _check_speakers(tables: dict[str, Rows]) -> list[str]:
    """utt2spk in the order of speakers too, ids that start with the speaker's, spk2utt its inverse."""
    if "utt2spk" not in tables:
        return []
    utt2spk = tables["utt2spk"]
    problems = []
    foreign = [utt for utt, row in utt2spk.items() if not utt.startswith(row.value)]
    if foreign:
        row = utt2spk[foreign[0]]
        problems.append(
            f"{utt2spk.path}:{row.number}: {shorten(foreign, 3)} does not start with the speaker-id {row.value}; "
            "put the speaker-id in front of the utterance-id in all tables"
        )
    problems += _check_speaker_order(utt2spk)
    if "spk2utt" in tables:
        problems += _check_inverse(utt2spk, tables["spk2utt"])
    return problems


def _check_speaker_order(utt2spk: Rows) -> list[str]:
    previous = ""
    for utt, row in utt2spk.items():
        if row.value < previous:
            return [
                f"{utt2spk.path}:{row.number}: speaker {row.value} of {utt} comes after {previous}: "
                "utt2spk is not sorted by speaker; put '<speaker-id>-' in front of the utterance-ids in all tables"
            ]
        previous = row.value
    return []


def _check_inverse(utt2spk: Rows, spk2utt: Rows) -> list[str]:
    mend = "write spk2utt from utt2spk anew"
    speakers: dict[str, list[str]] = {}
    for utt, row in utt2spk.items():
        speakers.setdefault(row.value, []).append(utt)
    problems = [
        f"{spk2utt.path}: speaker {spk} of utt2spk is not in it; {mend}" for spk in sorted(set(speakers) - set(spk2utt))
    ]
    for spk, row in spk2utt.items():
        listed: Iterable[str] = row.value.split()
        if sorted(listed) != sorted(speakers.get(spk, [])):
            wrong = sorted(set(listed) ^ set(speakers.get(spk, []))) or ["an utterance listed twice"]
            problems.append(f"{spk2utt.path}:{row.number}: {spk} differs from utt2spk in {shorten(wrong, 3)}; {mend}")
    return problems
