"""ESC-50 (Piczak, ACM MM 2015), and its subset ESC-10 in the same layout.

A clip is named ``<src_file>-<file name>``: several clips were cut from one recording of freesound.org.
"""

from pathlib import Path

from trnet.corpora.noise import NoiseClip, NoiseCorpus, add_clip, safe_id
from trnet.corpora.source import audio_files, by_stem, read_csv
from trnet.kaldi.data_dir import Clip
from trnet.utils.errors import TrnetError
from trnet.utils.text import counted, shorten

TABLE = "meta/esc50.csv"


def _files(folder: Path) -> list[Path]:
    return [folder / TABLE, *audio_files(folder / "audio")]


def _clips(folder: Path) -> dict[str, NoiseClip]:
    """Clips are matched by name without suffix."""
    recordings = by_stem(audio_files(folder / "audio"))
    clips: dict[str, NoiseClip] = {}
    missing: list[str] = []
    for row in read_csv(folder / TABLE, ("filename", "src_file"), quotes=False):
        stem, source = Path(row["filename"]).stem, safe_id(row["src_file"])
        if stem in recordings:
            add_clip(clips, f"{source}-{safe_id(stem)}", NoiseClip(source, Clip(recordings[stem])))
        else:
            missing.append(stem)
    if missing:
        raise TrnetError(
            f"{folder / 'audio'}: {counted(len(missing), 'clip')} of {Path(TABLE).name} without recording "
            f"({shorten(missing, 3)}); complete the copy, or delete their lines"
        )
    return clips


ESC50 = NoiseCorpus(
    title="ESC-50",
    layout=TABLE,
    option="--esc-dir",
    origin="karolpiczak/ESC-50 on GitHub",
    folders=("ESC-50", "ESC-50-master"),
    files=_files,
    clips=_clips,
)
