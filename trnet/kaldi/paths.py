"""Where the files lie that an scp names."""

from pathlib import Path


def resolve(entry: str | Path, scp: Path) -> Path:
    """The file of an entry of `scp`: relative to the folder of the scp, else to the working directory.

    The first lets a folder be moved and read from anywhere; the second is Kaldi's habit, and what older versions of
    trnet wrote. An absolute path stays as it is; where neither is there, the first is what errors name.
    """
    beside, here = Path(scp).parent / entry, Path(entry)
    return here if here.exists() and not beside.exists() else beside
