"""Kaldi data directories: tables of ``key value`` lines, sorted as ``LC_ALL=C sort`` does.

Speech: wav.scp utt2spk spk2utt text utt2dur utt2emo utt2group, and spk2gender, utt2style, utt2split where the corpus
tells them. Noise: wav.scp utt2spk spk2utt utt2dur utt2src, and segments where one recording holds several clips. Noisy
speech also: utt2clean utt2noise utt2snr. Pairs of noisy and clean speech: wav.scp is noisy, clean.scp its clean
partner, utt2spk spk2utt utt2dur, utt2noise and utt2snr where they are known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trnet.errors import TrnetError
from trnet.files import read_text, write_text
from trnet.kaldi.paths import resolve

Table = dict[str, str]


def read_table(path: Path) -> Table:
    """Read a ``key value...`` file; blanks or tabs stand between key and value.

    Raises: TrnetError naming file and line for a missing file, a line without a value (but in `text`), a duplicate key,
        a NUL byte.
    """
    table: Table = {}
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


def invert(utt2spk: Mapping[str, str]) -> Table:
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


class DataDir:
    """A data directory, its tables read when first asked for.

    Paths in wav.scp start where `trnet.kaldi.paths.resolve` says: in the directory itself, or where one is.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise TrnetError(f"{self.path}: no such data directory; run the stage that makes it")
        self._tables: dict[str, Table] = {}

    def __getitem__(self, name: str) -> Table:
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

    def clip(self, utt: str) -> Clip:
        """Where the audio of `utt` lies.

        Raises: TrnetError for an unknown utterance, or a piped wav.scp entry.
        """
        start_s, end_s, recording = 0.0, None, utt
        try:
            if self.has("segments"):
                recording, start, end = self["segments"][utt].split()
                start_s, end_s = float(start), float(end)
            path = self["wav.scp"][recording]
        except (KeyError, ValueError):
            raise TrnetError(f"{self.path}: no audio for '{utt}'; mend wav.scp (or segments)") from None
        if path.endswith("|"):
            raise TrnetError(f"{self.path}/wav.scp: {recording} is a pipe; write the audio to a file and name that")
        return Clip(resolve(path, self.path / "wav.scp"), start_s, end_s)


def write_data_dir(path: Path, tables: Mapping[str, Mapping[str, str]]) -> DataDir:
    """Write the tables (spk2utt is made from utt2spk) and return the directory."""
    path = Path(path)
    for name, table in tables.items():
        write_table(path / name, table)
    if "utt2spk" in tables:
        write_table(path / "spk2utt", invert(tables["utt2spk"]))
    return DataDir(path)
