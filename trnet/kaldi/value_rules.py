"""What the values of a data directory's tables must be."""

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from trnet.audio.pipes import is_pipe, refusal
from trnet.kaldi.ark import ark_entry
from trnet.kaldi.data_dir import channel_of
from trnet.kaldi.paths import audio_problem, resolve
from trnet.kaldi.tables import Rows
from trnet.utils.files import is_regular
from trnet.utils.numbers import real, whole

LONGEST_S = 1e6  # of a recording, twelve days
SHOWN = 5  # problems of a table

ValueRule = Callable[[str, Path], str]  # value, its table -> what is wrong, with its mend; "" if nothing is


def number_of(value: str) -> float:
    """The number in `value`; NaN if there is none, or one that is not finite."""
    try:
        return real(value)
    except ValueError:
        return math.nan


def _read_by(read: Callable[[str], object], mend: str) -> ValueRule:
    """A rule for what a function reads; the text of its ValueError is the problem."""

    def rule(value: str, _table: Path) -> str:
        try:
            read(value)
        except ValueError as error:
            return f"{error}; {mend}"
        return ""

    return rule


def _like(pattern: str, what: str) -> ValueRule:
    """A rule for what a regular expression describes."""
    return lambda value, _table: "" if re.fullmatch(pattern, value) else f"'{value}' {what}"


def _seconds(value: str, _table: Path) -> str:
    good = 0 < number_of(value) <= LONGEST_S
    return "" if good else f"'{value}' is no positive number of seconds; prepare the data anew"


def _segment(value: str, _table: Path) -> str:
    cells = value.split()
    if len(cells) != 3:
        return "is not 'utterance recording start end'; mend the line"
    start, end = number_of(cells[1]), number_of(cells[2])
    return "" if 0 <= start < end <= LONGEST_S else f"{cells[1]} to {cells[2]} is no span of seconds; mend the line"


def _archive(value: str, scp: Path) -> str:
    try:
        archive, _ = ark_entry(value)
    except ValueError:
        return f"'{value}' is not ARCHIVE:OFFSET; extract the features anew"
    return "" if is_regular(resolve(archive, scp)) else f"{archive} does not exist; extract the features anew"


def _audio(value: str, scp: Path, allow_pipes: bool) -> str:
    return refusal(value, allow_pipes) if is_pipe(value) else audio_problem(value, scp)


WORDS = ("utt2spk", "utt2emo", "utt2group", "utt2style", "utt2split", "utt2src", "utt2clean")
RULES: dict[str, ValueRule] = {
    **dict.fromkeys(WORDS, _like("[^ ]*", "must be one word; mend the line")),
    "utt2dur": _seconds,
    "reco2dur": _seconds,
    "utt2num_frames": _read_by(partial(whole, low=1), "extract the features anew"),
    "utt2checksum": _like("[0-9]{1,11} [0-9a-f]{16}", "is not 'BYTES XXH3'; extract the features anew"),
    "utt2snr": _read_by(real, "simulate anew"),
    "reco2channel": _read_by(channel_of, "mend the line"),
    "spk2gender": _like("[mf]", "is neither m nor f; mend the line"),
    "segments": _segment,
    "feats.scp": _archive,
}


def check_values(name: str, rows: Rows, allow_pipes: bool = False) -> list[str]:
    """Problems of a table's values, the first five in full and the others counted."""
    rule = partial(_audio, allow_pipes=allow_pipes) if name in ("wav.scp", "clean.scp") else RULES.get(name)
    if rule is None:
        return []
    found = [(key, row.number, rule(row.value, rows.path)) for key, row in rows.items() if row.value]
    bad = [f"{rows.path}:{number}: {key}: {problem}" for key, number, problem in found if problem]
    if len(bad) > SHOWN:
        bad[SHOWN - 1] += f" ({len(bad) - SHOWN} more lines likewise)"
    return bad[:SHOWN]
