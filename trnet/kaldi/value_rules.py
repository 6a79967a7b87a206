"""What the values of a data directory's tables must be."""

import functools
import math
import re
from collections.abc import Callable
from pathlib import Path

from trnet.audio.pipes import check_allowed, is_pipe
from trnet.kaldi.ark import ark_entry
from trnet.kaldi.data_dir import channel_of
from trnet.kaldi.paths import audio_problem, resolve
from trnet.kaldi.tables import Rows
from trnet.utils.errors import TrnetError
from trnet.utils.files import is_regular
from trnet.utils.numbers import real, whole

LONGEST_S = 1e6  # of a recording, twelve days

Rule = Callable[[str], str]  # value -> what is wrong, with its mend; "" if nothing is


def number_of(value: str) -> float:
    """The number that `value` says; NaN if it says none, or one that is not finite."""
    try:
        return real(value)
    except ValueError:
        return math.nan


def _word(value: str) -> str:
    return "must be one word; mend the line" if " " in value else ""


def _positive_seconds(value: str) -> str:
    good = 0 < number_of(value) <= LONGEST_S
    return "" if good else f"'{value}' is no positive number of seconds; prepare the data anew"


def _positive_count(value: str) -> str:
    try:
        whole(value, low=1)
    except ValueError as error:
        return f"{error}; extract the features anew"
    return ""


def _finite(value: str) -> str:
    return "" if math.isfinite(number_of(value)) else f"'{value}' is no number of dB; simulate anew"


def _gender(value: str) -> str:
    return "" if value in ("m", "f") else f"'{value}' is neither m nor f; mend the line"


def _audio_file(value: str, scp: Path, allow_pipes: bool) -> str:
    if not is_pipe(value):
        return audio_problem(value, scp)
    try:
        check_allowed(value, allow_pipes, "")
    except TrnetError as error:
        return str(error).removeprefix(": ")
    return ""


def _channel(value: str) -> str:
    try:
        channel_of(value)
    except ValueError as error:
        return f"{error}; mend the line"
    return ""


def _archive(value: str, scp: Path) -> str:
    try:
        archive, _ = ark_entry(value)
    except ValueError:
        return f"'{value}' is not ARCHIVE:OFFSET; extract the features anew"
    return "" if is_regular(resolve(archive, scp)) else f"{archive} does not exist; extract the features anew"


def _checksum(value: str) -> str:
    good = re.fullmatch("[0-9]{1,11} [0-9a-f]{16}", value)
    return "" if good else f"'{value}' is not 'BYTES XXH3'; extract the features anew"


def _segment(value: str) -> str:
    cells = value.split()
    if len(cells) != 3:
        return "is not 'utterance recording start end'; mend the line"
    start, end = number_of(cells[1]), number_of(cells[2])
    return "" if 0 <= start < end <= LONGEST_S else f"{cells[1]} to {cells[2]} is no span of seconds; mend the line"


RULES: dict[str, Rule] = {
    "utt2spk": _word,
    "utt2emo": _word,
    "utt2group": _word,
    "utt2style": _word,
    "utt2split": _word,
    "utt2src": _word,
    "utt2clean": _word,
    "utt2dur": _positive_seconds,
    "reco2dur": _positive_seconds,
    "utt2num_frames": _positive_count,
    "utt2checksum": _checksum,
    "utt2snr": _finite,
    "reco2channel": _channel,
    "spk2gender": _gender,
    "segments": _segment,
}


FILE_RULES: dict[str, Callable[..., str]] = {  # also told which scp names the file
    "feats.scp": _archive,
}


def check_values(name: str, rows: Rows, allow_pipes: bool = False) -> list[str]:
    """Problems of a table's values, the first five in full and the others counted.

    `allow_pipes`: entries ``command |`` of a wav.scp are no problem.
    """
    rule = RULES.get(name)
    if name in ("wav.scp", "clean.scp"):
        rule = functools.partial(_audio_file, scp=rows.path, allow_pipes=allow_pipes)
    if name in FILE_RULES:
        rule = functools.partial(FILE_RULES[name], scp=rows.path)
    if rule is None:
        return []
    found = [(key, row.number, rule(row.value)) for key, row in rows.items() if row.value]
    bad = [f"{rows.path}:{number}: {key}: {problem}" for key, number, problem in found if problem]
    if len(bad) > 5:
        bad[4] += f" ({len(bad) - 5} more lines likewise)"
    return bad[:5]
