"""Any folder of noise recordings, such as Hu and Wang's 100 nonspeech sounds."""

from collections import Counter
from pathlib import Path

from trnet.corpora.contract import Contract
from trnet.corpora.noise import NoiseClip, add_clip, safe_id, write_noise
from trnet.corpora.source import Source, audio_files
from trnet.kaldi.data_dir import Clip, DataDir
from trnet.utils.errors import TrnetError

NOISE_FOLDER = Source(
    title="a folder of noise recordings",
    layout="*",
    option="--nonspeech-dir (or, under a name of its own, --noise-dirs)",
    origin="speechdnn/Noises on GitHub (or take any noises of your own)",
)


def noise_folder_files(root: Path) -> list[Path]:
    """Every recording below `root`.

    Raises: TrnetError if there is none.
    """
    files = audio_files(NOISE_FOLDER.locate(root), recursive=True)
    if not files:
        raise TrnetError(
            f"{root}: no recordings below it (wav, flac, ogg, ...); give a folder that has some with "
            f"{NOISE_FOLDER.option}, get them from {NOISE_FOLDER.origin}"
        )
    return files


def prepare_noise_folder(
    root: Path, out: Path, contract: Contract | None = None, nj: int = 1, channel: int | None = None
) -> DataDir:
    """Write the noise directory `out` of all recordings below `root`: each one clip and its own source.

    A clip is named by its file without suffix; where two folders hold files of one name, by its path below `root`.
    Raises: TrnetError for an empty folder, names that cannot be told apart, or unusable audio.
    """
    files = noise_folder_files(root)
    same_stem = Counter(safe_id(path.stem) for path in files)
    clips: dict[str, NoiseClip] = {}
    for path in files:
        name = safe_id(path.stem)
        if same_stem[name] > 1:
            name = safe_id(str(path.relative_to(root).with_suffix("")))
        add_clip(clips, name, NoiseClip(name, Clip(path)))
    return write_noise(root, out, clips, contract, nj, channel)
