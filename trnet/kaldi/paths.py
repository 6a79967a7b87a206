"""Paths in scp files: relative to the folder of the scp, so that a folder can be moved and read from anywhere."""

import os
import re
from pathlib import Path

from trnet.errors import TrnetError
from trnet.pipes import is_pipe

PLACE_WORD = "is a place in an archive of audio, which is not read here; write the audio to a file and name that"


def resolve(entry: str, scp: Path) -> Path:
    """The file that an entry of an scp file names.

    Args:
        entry: a path, absolute or relative.
        scp: the file that it stands in.

    Returns: a relative path below the scp's folder; where nothing is there, relative to the working directory, as
        Kaldi takes it and older versions of trnet wrote it.
    """
    beside = Path(scp).parent / entry
    return beside if beside.exists() else Path(entry)


def entry_for(path: Path, scp: Path) -> str:
    """How an scp file names a file: relative to its own folder, but for absolute paths, which stay so.

    Raises: TrnetError for a path that no line can hold.
    """
    name = str(path)
    if not path.is_absolute():
        folder = Path(scp).parent
        relative = os.path.relpath(path, folder)
        # behind a folder that is a link, .. leads elsewhere
        name = relative if (folder / relative).exists() or not path.exists() else name
    if name != " ".join(name.splitlines()).strip() or is_pipe(name):
        raise TrnetError(f"{name!r}: starts or ends in a blank, ends in |, or holds a line break; rename it")
    return name


def is_place(entry: str) -> bool:
    """Whether an entry looks like Kaldi's ``ARCHIVE:OFFSET``."""
    return re.search(r":\d+(\[.*\])?$", entry) is not None


def audio_problem(entry: str, scp: Path) -> str:
    """Why an entry of a wav.scp, which is no pipe, names no audio file; "" if it does."""
    path = resolve(entry, scp)
    if path.is_file():
        return ""
    if path.is_dir():
        return f"{entry} is a folder; name a file in it"
    if is_place(entry):
        return f"{entry} {PLACE_WORD}"
    if path.exists():
        return f"{entry} is a pipe or device; give a file"
    return f"{entry} does not exist; mend the path, or prepare the data anew"
