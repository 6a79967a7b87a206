"""Where the files lie that an scp names."""

import os
import re
from pathlib import Path

from trnet.audio.pipes import is_pipe
from trnet.utils.errors import TrnetError, printable
from trnet.utils.names import check_text

PLACE_WORD = "is a place in an archive of audio, which is not read here; write the audio to a file and name that"

ABOVE = 3  # dump/raw/<set>/feats.scp, data/<set>/wav.scp


def resolve(entry: str | Path, scp: Path) -> Path:
    """The file of an entry of `scp`: relative to the folder of the scp, else to the working directory.

    The first lets a folder be moved and read from anywhere, the second is Kaldi's habit. Older versions of trnet wrote
    paths that start in the folder of the recipe, up to `ABOVE` folders above the scp's: it is found, too. Where nothing
    is there, the first is what errors name.
    """
    beside = Path(scp).parent / entry  # an absolute path stays as it is
    if not beside.exists():
        for folder in (Path(), *Path(scp).absolute().parents[1 : 1 + ABOVE]):
            if (folder / entry).exists():
                return folder / entry
    return beside


def entry_for(path: Path, scp: Path) -> str:
    """How an scp file names a file: relative to its own folder; absolute paths stay. TrnetError for a line break."""
    check_text(path)
    name = str(path)
    if not path.is_absolute():
        folder = Path(scp).parent
        relative = os.path.relpath(path, folder)
        # behind a folder that is a link, .. leads elsewhere
        name = relative if (folder / relative).exists() or not path.exists() else name
    if name != " ".join(name.splitlines()).strip() or is_pipe(name):
        raise TrnetError(f"{printable(name)}: starts or ends in a blank, ends in |, or holds a line break; rename it")
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
