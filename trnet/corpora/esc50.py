"""ESC-50 (Piczak, ACM MM 2015), and its subset ESC-10 in the same layout."""

from pathlib import Path

from trnet.corpora.contract import Contract
from trnet.corpora.noise import NoiseClip, add_clip, safe_id, write_noise
from trnet.corpora.source import Source, audio_files, by_stem, read_columns, shorten
from trnet.kaldi.data_dir import Clip, DataDir
from trnet.utils.errors import TrnetError

ESC50 = Source(
    title="ESC-50",
    layout="meta/esc50.csv",
    option="--esc-dir",
    origin="karolpiczak/ESC-50 on GitHub",
    folders=("ESC-50", "ESC-50-master"),
)


def esc50_files(root: Path) -> list[Path]:
    """Every file that the preparation reads: the table and the clips.

    Raises: TrnetError if ESC-50 is not there.
    """
    folder = ESC50.locate(root)
    return [folder / "meta/esc50.csv", *audio_files(folder / "audio")]


def prepare_esc50(
    root: Path, out: Path, contract: Contract | None = None, nj: int = 1, channel: int | None = None
) -> DataDir:
    """Write the noise directory `out` of ESC-50 in `root`; clips are matched by name without suffix.

    A clip is named ``<src_file>-<file name>``: several clips were cut from one recording of freesound.org.
    Raises: TrnetError for a missing or incomplete corpus, or unusable audio.
    """
    table = ESC50.locate(root) / "meta/esc50.csv"
    folder = table.parent.parent / "audio"
    recordings = by_stem(audio_files(folder))
    clips: dict[str, NoiseClip] = {}
    missing: list[str] = []
    for row in read_columns(table, ",", ("filename", "src_file")):
        stem, source = Path(row["filename"]).stem, safe_id(row["src_file"])
        if stem not in recordings:
            missing.append(stem)
            continue
        add_clip(clips, f"{source}-{safe_id(stem)}", NoiseClip(source, Clip(recordings[stem])))
    if missing:
        raise TrnetError(
            f"{folder}: {len(missing)} clips of {table.name} have no recording "
            f"({shorten(missing, 3)}); complete the copy, or delete their lines"
        )
    return write_noise(root, out, clips, contract, nj, channel)
