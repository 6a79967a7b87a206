"""What the values of a data directory's tables must be."""

import functools
import math
from collections.abc import Callable
from pathlib import Path

from trnet.errors import TrnetError
from trnet.kaldi.data_dir import channel_of
from trnet.kaldi.paths import audio_problem
from trnet.kaldi.rows import Rows
from trnet.pipes import check_allowed, is_pipe

Rule = Callable[[str], str]  # value -> what is wrong, with its mend; "" if nothing is


def number_of(value: str) -> float:
    """The number that `value` says; NaN if it says none."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def _word(value: str) -> str:
    return "must be one word; mend the line" if " " in value else ""


def _positive_seconds(value: str) -> str:
    good = 0 < number_of(value) < math.inf
    return "" if good else f"'{value}' is no positive number of seconds; prepare the data anew"


def _positive_count(value: str) -> str:
    good = value.isdecimal() and int(value) > 0
    return "" if good else f"'{value}' is no positive whole number; extract the features anew"


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


def _archive(value: str) -> str:
    archive, _, offset = value.rpartition(":")
    if not offset.isdecimal():
        return f"'{value}' is not ARCHIVE:OFFSET; extract the features anew"
    return "" if Path(archive).is_file() else f"{archive} does not exist; extract the features anew"


def _segment(value: str) -> str:
    cells = value.split()
    if len(cells) != 3:
        return "is not 'utterance recording start end'; mend the line"
    start, end = number_of(cells[1]), number_of(cells[2])
    return "" if 0 <= start < end < math.inf else f"{cells[1]} to {cells[2]} is no span of seconds; mend the line"


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
    "utt2snr": _finite,
    "spk2gender": _gender,
    "reco2channel": _channel,
    "feats.scp": _archive,
    "segments": _segment,
}


def check_values(name: str, rows: Rows, allow_pipes: bool = False) -> list[str]:
    """Problems of a table's values, the first five in full and the others counted.

    `allow_pipes`: entries ``command |`` of a wav.scp are no problem.
    """
    rule = RULES.get(name)
    if name in ("wav.scp", "clean.scp"):
        rule = functools.partial(_audio_file, scp=rows.path, allow_pipes=allow_pipes)
    if rule is None:
        return []
    found = [(key, row.number, rule(row.value)) for key, row in rows.items() if row.value]
    bad = [f"{rows.path}:{number}: {key}: {problem}" for key, number, problem in found if problem]
    if len(bad) > 5:
        bad[4] += f" ({len(bad) - 5} more lines likewise)"
    return bad[:5]
