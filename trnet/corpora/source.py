"""Finding a corpus on disk: where it lies, which files it has, and what to say when it is not there."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from trnet.audio.reading import is_audio
from trnet.utils.errors import TrnetError
from trnet.utils.files import read_bytes
from trnet.utils.names import check_text
from trnet.utils.stamp import digest, file_digest


def matching(folder: Path, pattern: str) -> list[Path]:
    """What lies below a folder by a pattern, level by level: ``Session[1-5]/dialog/*.txt``; no hidden files.

    Returns:
        paths in C order; [] if there are none; `folder` itself for ``.``.

    Raises:
        OSError: For a folder that may not be read: what is in it would be missed in silence.
    """
    found = [folder]
    for part in pattern.split("/") if pattern != "." else ():
        if any(sign in part for sign in "*?["):
            inside = [path / name for path in found if path.is_dir() for name in os.listdir(path)]
            found = [path for path in inside if fnmatchcase(path.name, part) and not path.name.startswith(".")]
        else:
            found = [path / part for path in found if (path / part).exists()]
    return sorted(found)


def audio_files(folder: Path, recursive: bool = False) -> list[Path]:
    """The recordings of a folder in C order of their paths; nothing below hidden folders. [] for no such folder.

    Raises:
        OSError: For a folder that may not be read: what is in it would be missed in silence.
    """

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    found: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        found += [path for path in (Path(root, name) for name in names) if is_audio(path) and path.is_file()]
    return sorted(found)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus as its authors give it out."""

    title: str
    layout: str  # a pattern (see `matching`) relative to its folder, by which it is recognised
    origin: str
    folders: tuple[str, ...] = ()  # names of its own folder, looked for when the folder above it is given
    option: str = "--corpus-dir"  # the recipe's option that names the folder
    files: Callable[[Path], list[Path]] = audio_files  # all that are read

    def all_files(self, root: Path) -> list[Path]:
        """Every file that the preparation of the corpus in `root` reads."""
        return self.files(self.locate(root))

    def locate(self, root: Path) -> Path:
        """The corpus folder: `root`, or one of `folders` inside it. TrnetError saying where to get the corpus."""
        for folder in (Path(root), *(Path(root) / name for name in self.folders)):
            if folder.is_dir() and matching(folder, self.layout):
                return folder
        found = "no such folder" if not Path(root).is_dir() else f"no {self.layout} in it"
        raise TrnetError(
            f"{root}: {self.title} is not there ({found}); give its folder with {self.option} (of "
            f"run.sh; a command of trnet.bin has --root), get it from {self.origin}"
        )


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Recordings by file name without suffix.

    Raises:
        TrnetError: If two recordings share one (a .wav beside an .ogg).
    """
    stems: dict[str, Path] = {}
    for path in paths:
        if path.stem in stems:
            raise TrnetError(f"{path}: {stems[path.stem].name} has the same name; keep one of the two")
        stems[path.stem] = path
    return stems


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, UTF-8 (BOM or not) or Windows-1252; any line ends. TrnetError if missing or no text."""
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise TrnetError(f"{path}: no such file; complete the copy of the corpus") from None
    if b"\0" in data:
        raise TrnetError(f"{path}: is UTF-16, or no text at all; convert it to UTF-8, or take the corpus's own file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_csv(path: Path, columns: Sequence[str], separator: str = ",", quotes: bool = True) -> list[dict[str, str]]:
    """Rows of a table with a header line, blanks around cells removed, empty lines left out.

    `quotes`: whether cells in ``"`` may hold separators; False: quotes mean nothing.

    Raises:
        TrnetError: For a missing file or column, a row with another number of cells than the header, or no rows.
    """
    text = io.StringIO("\n".join(read_lines(path)))
    lines = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE)
    rows = []
    try:
        header = [cell.strip() for cell in next(lines, [])]
        if lacking := [name for name in columns if name not in header]:
            raise TrnetError(f"{path}:1: no column '{lacking[0]}' in '{' '.join(header)}'; take the corpus's own file")
        for line in lines:
            cells = [cell.strip() for cell in line]
            if not any(cells):
                continue
            if len(cells) != len(header):
                where = f"{path}:{lines.line_num}"
                raise TrnetError(f"{where}: {len(cells)} cells, the header has {len(header)}; mend the line")
            rows.append(dict(zip(header, cells, strict=True)))
    except csv.Error as error:  # a cell without end, say
        raise TrnetError(f"{path}:{lines.line_num}: {error}; mend the line, or take the corpus's own file") from None
    if not rows:
        raise TrnetError(f"{path}: has a header and no rows; take the corpus's own file")
    return rows


def listing_digest(files: Iterable[Path], root: Path) -> str:
    """Digest of the files of the corpus in `root`: paths below it and contents (about 1 GB a second)."""
    files = list(files)
    for path in files:
        check_text(path)
    return digest({str(path.relative_to(root)): file_digest(path) for path in files})
