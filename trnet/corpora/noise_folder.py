"""Any folder of noise recordings, such as Hu and Wang's 100 nonspeech sounds: each one clip and its own source.

A clip is named by its file without suffix; where two folders hold files of one name, by its path below the folder.
"""

from collections import Counter
from pathlib import Path

from trnet.corpora.noise import NoiseClip, NoiseCorpus, add_clip, safe_id
from trnet.corpora.source import audio_files
from trnet.kaldi.data_dir import Clip
from trnet.utils.errors import TrnetError


def _files(folder: Path) -> list[Path]:
    files = audio_files(folder, recursive=True)
    if not files:
        raise TrnetError(
            f"{folder}: no recordings below it (wav, flac, ogg, ...); give a folder that has some with "
            f"{NOISE_FOLDER.option}, get them from {NOISE_FOLDER.origin}"
        )
    return files


def _clips(folder: Path) -> dict[str, NoiseClip]:
    files = _files(folder)
    same_stem = Counter(safe_id(path.stem) for path in files)
    clips: dict[str, NoiseClip] = {}
    for path in files:
        name = safe_id(path.stem)
        if same_stem[name] > 1:
            name = safe_id(str(path.relative_to(folder).with_suffix("")))
        add_clip(clips, name, NoiseClip(name, Clip(path)))
    return clips


NOISE_FOLDER = NoiseCorpus(
    title="a folder of noise recordings",
    layout="*",
    option="--nonspeech-dir (or, under a name of its own, --noise-dirs)",
    origin="speechdnn/Noises on GitHub (or take any noises of your own)",
    files=_files,
    clips=_clips,
)
