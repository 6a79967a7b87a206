"""Kaldi data directories: tables of ``key value`` lines, sorted as ``LC_ALL=C sort`` does.

Speech: wav.scp utt2spk spk2utt text utt2dur utt2emo utt2group, and spk2gender, utt2style, utt2split where the corpus
has them. Noise: wav.scp utt2spk spk2utt utt2dur utt2src, and segments where one recording holds several clips. Both:
reco2channel where not the mean of all channels is taken. Noisy speech also: utt2clean utt2noise utt2snr. Pairs of noisy
and clean speech: wav.scp is noisy, clean.scp its clean partner, utt2spk spk2utt utt2dur, utt2noise and utt2snr where
they are known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trnet.audio.pipes import check_allowed, is_pipe
from trnet.kaldi.paths import PLACE_WORD, is_place, resolve
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_text, write_text
from trnet.utils.numbers import real, whole

MEAN = "mean"  # of all channels
KaldiTable = dict[str, str]


def channel_of(value: str) -> int | None:
    """A channel as tables and options name it: its number from 0; None for ``mean``; ValueError for anything else."""
    try:
        return None if value == MEAN else whole(value, 0, 1023)
    except ValueError:
        raise ValueError(f"'{value}' is no channel: 0, 1, ... or {MEAN}") from None


def read_table(path: Path) -> KaldiTable:
    """Read a ``key value...`` file; blanks or tabs stand between key and value.

    Raises:
        TrnetError: Naming file and line for a missing file, a line without a value (but in `text`), a duplicate key, a
            NUL byte.
    """
    table: KaldiTable = {}
    try:
        text = read_text(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise TrnetError(f"{path}: no such file; run the stage that writes it") from None
    except UnicodeDecodeError as error:
        raise TrnetError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); convert it") from None
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        key, value = key_and_value(line)
        if not key or (not value and Path(path).name != "text") or "\0" in line:
            raise TrnetError(f"{path}:{number}: '{line}' is not 'key value'; complete or delete the line")
        if key in table:
            raise TrnetError(f"{path}:{number}: key {key} stands there twice; delete one of the two lines")
        table[key] = value
    return table


def key_and_value(line: str) -> tuple[str, str]:
    """The two parts of a table's line, "" where there is none; blanks and tabs around them are left out."""
    key, value, *_ = [*re.split("[ \t]+", line.strip(" \t\r"), maxsplit=1), ""]
    return key, value


def write_table(path: Path, table: Mapping[str, str]) -> None:
    """Write a table sorted by key in C order, whole or not at all."""
    write_text(path, "".join(f"{key} {table[key]}".rstrip() + "\n" for key in sorted(table)))


def invert(utt2spk: Mapping[str, str]) -> KaldiTable:
    """spk2utt of a utt2spk: each speaker with its utterances in C order."""
    spk2utt: dict[str, list[str]] = {}
    for utt in sorted(utt2spk):
        spk2utt.setdefault(utt2spk[utt], []).append(utt)
    return {spk: " ".join(utts) for spk, utts in spk2utt.items()}


@dataclass(frozen=True)
class Clip:
    """Where an utterance's audio lies: a file, or the span [start_s, end_s) seconds of it."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    channel: int | None = None  # which one, from 0, where there are several; None: the mean of all
    lasts: str = ""  # its seconds as utt2dur has them; "": unknown
    command: str = ""  # a Kaldi pipe ``programs |`` that writes the audio; `path` then only names it
    name: str = ""  # of the utterance, for messages


class DataDir:
    """A data directory, its tables read when first asked for.

    Paths in wav.scp start where `trnet.kaldi.paths.resolve` says: in the directory itself, or where one is.
    """

    def __init__(self, path: Path, allow_pipes: bool = False) -> None:
        """`allow_pipes`: run the programs of ``command |`` entries of its wav.scp when their audio is read."""
        self.path, self.allow_pipes = Path(path), allow_pipes
        if not self.path.is_dir():
            raise TrnetError(f"{self.path}: no such data directory; run the stage that makes it")
        self._tables: dict[str, KaldiTable] = {}
        self._absent: set[str] = set()

    def __getitem__(self, name: str) -> KaldiTable:
        if name not in self._tables:
            self._tables[name] = read_table(self.path / name)
        return self._tables[name]

    def has(self, name: str) -> bool:
        """Whether the directory holds that table."""
        return (self.path / name).is_file()

    @property
    def utts(self) -> list[str]:
        """Utterance ids in C order."""
        return sorted(self["segments"] if self.has("segments") else self["wav.scp"])

    def _known(self, name: str) -> KaldiTable:
        """A table that need not be there; {} if it is not."""
        if name not in self._tables and name not in self._absent and not self.has(name):
            self._absent.add(name)
        return {} if name in self._absent else self[name]

    def clip(self, utt: str) -> Clip:
        """Where the audio of `utt` lies.

        Raises:
            TrnetError: If there is none, or its segment, channel or pipe is bad.
        """
        start_s, end_s, recording = 0.0, None, utt
        try:
            if self._known("segments"):
                recording, start, end = self["segments"][utt].split()
                start_s, end_s = real(start, 0), real(end, 0)
            entry = self["wav.scp"][recording]
        except (KeyError, ValueError):
            raise TrnetError(f"{self.path}: no audio for '{utt}'; mend wav.scp (or segments)") from None
        if is_pipe(entry):
            check_allowed(entry, self.allow_pipes, f"{self.path}/wav.scp: {recording}")
        path, command = (Path(entry), entry) if is_pipe(entry) else (resolve(entry, self.path / "wav.scp"), "")
        if not command and is_place(entry) and not path.exists():
            raise TrnetError(f"{self.path}/wav.scp: {recording}: {entry} {PLACE_WORD}")
        channel = self._channel(recording)
        return Clip(path, start_s, end_s, channel, self._known("utt2dur").get(utt, ""), command, f"{self.path}: {utt}")

    def _channel(self, recording: str) -> int | None:
        value = self._known("reco2channel").get(recording, MEAN)
        try:
            return channel_of(value)
        except ValueError as error:
            raise TrnetError(f"{self.path}/reco2channel: {recording}: {error}; mend the line") from None


def write_data_dir(path: Path, tables: Mapping[str, Mapping[str, str]]) -> DataDir:
    """Write the tables (spk2utt is made from utt2spk) and return the directory."""
    path = Path(path)
    for name, table in tables.items():
        write_table(path / name, table)
    if "utt2spk" in tables:
        write_table(path / "spk2utt", invert(tables["utt2spk"]))
    return DataDir(path)
