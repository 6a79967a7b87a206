"""Where the files lie that an scp names."""

from pathlib import Path


def resolve(entry: str | Path, scp: Path) -> Path:
    """The file of an entry of `scp`: relative to the folder of the scp, else to the working directory.

    The first lets a folder be moved and read from anywhere, the second is Kaldi's habit. Older versions of trnet wrote
    paths that start in the folder of the recipe, one above the scp: it is found, too. Where nothing is there, the first
    is what errors name.
    """
    beside = Path(scp).parent / entry  # an absolute path stays as it is
    if not beside.exists():
        for folder in (Path(), *Path(scp).absolute().parents[1:]):
            if (folder / entry).exists():
                return folder / entry
    return beside
