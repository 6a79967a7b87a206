"""The noise of MUSAN (Snyder et al., 2015), cut into five-second segments."""

from pathlib import Path

from trnet.corpora.contract import Contract
from trnet.corpora.noise import cut, write_noise
from trnet.corpora.source import Source, audio_files, by_stem
from trnet.kaldi.data_dir import DataDir

MUSAN = Source(
    title="MUSAN",
    layout="noise/free-sound",
    option="--musan-dir",
    origin="openslr.org/17",
    folders=("musan",),
)


def musan_files(root: Path) -> list[Path]:
    """Every file that the preparation reads: noise/free-sound, not noise/sound-bible.

    Raises: TrnetError if MUSAN is not there.
    """
    return audio_files(MUSAN.locate(root) / "noise/free-sound")


def prepare_musan(
    root: Path, out: Path, contract: Contract | None = None, nj: int = 1, channel: int | None = None
) -> DataDir:
    """Write the noise directory `out` of MUSAN in `root`: floor(duration / 5 s) segments of each recording.

    A segment is named ``<recording>-0003``, counted from 0; what is left at a recording's end is not used.
    Raises: TrnetError for a missing or incomplete corpus, or unusable audio.
    """
    return write_noise(root, out, cut(by_stem(musan_files(root))), contract, nj, channel)
