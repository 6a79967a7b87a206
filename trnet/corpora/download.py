"""Fetching what may be fetched freely: corpora as their authors give them out, and front-end weights."""

import logging
import os
import shutil
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pooch

from trnet.utils.errors import TrnetError

SILENT_S = 60.0  # a server that sends nothing for so long is given up
logger = logging.getLogger(__name__)
pooch.get_logger().setLevel(logging.WARNING)


@dataclass(frozen=True)
class Download:
    """A file, or an archive that is unpacked; `licence` is shown first, `sha256` is of a file that stays as it is."""

    url: str
    licence: str
    sha256: str | None = None


FREE_CORPORA = {
    "nemo": Download("https://github.com/amu-cai/nEMO/archive/refs/heads/main.zip", "CC BY-NC-SA 4.0"),
    "esc": Download("https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip", "CC BY-NC 3.0"),
    "ravdess": Download("https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip", "CC BY-NC-SA 4.0"),
    "musan": Download("https://www.openslr.org/resources/17/musan.tar.gz", "CC BY 4.0"),
}
_GTCRN = "https://github.com/Xiaobin-Rong/gtcrn/raw/main/checkpoints"
WEIGHTS = {
    "model_trained_on_dns3.tar": Download(
        f"{_GTCRN}/model_trained_on_dns3.tar", "MIT", "a630d992cf792daf4ce2bb5bcf9c4d389f740a8f09c6e0971184697fe6371b79"
    ),
    "model_trained_on_vctk.tar": Download(
        f"{_GTCRN}/model_trained_on_vctk.tar", "MIT", "a0f0e04421d9fc1efe734d44191f5dc4b973ce59d6546af8d64ad9167e2a9944"
    ),
}


def fetch(item: Download, target: Path) -> None:
    """Fetch a file to `target`, or unpack an archive (.zip, .tar.gz) into the folder `target`; whole or not at all.

    Raises:
        TrnetError: If it cannot be fetched, has another SHA-256, or is no archive; if `target` holds something.
    """
    name = item.url.rpartition("/")[2]
    unpack = name.endswith((".zip", ".tar.gz"))
    if unpack and target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise TrnetError(f"{target}: exists, and is not what is to be fetched; move it away, or name another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    logger.info("%s: fetching %s (licence: %s)", target, item.url, item.licence)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as partial:
        file = _download(item, Path(partial, name), target)
        if not unpack:
            os.replace(file, target)
            return
        folder = Path(partial) / "unpacked"
        try:
            # members outside the folder: shutil leaves out a zip's, the filter refuses a tar's
            shutil.unpack_archive(file, folder, filter=None if name.endswith(".zip") else "data")
        except (shutil.ReadError, tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
            raise TrnetError(f"{item.url}: is no archive ({error}); fetch it by hand to {target}") from None
        if target.is_dir():
            target.rmdir()
        os.replace(folder, target)


def _download(item: Download, file: Path, target: Path) -> Path:
    from requests import RequestException  # here, as it takes a while and most commands fetch nothing

    known_hash = f"sha256:{item.sha256}" if item.sha256 else None
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16, timeout=SILENT_S)
    try:
        return Path(pooch.retrieve(item.url, known_hash, file.name, file.parent, downloader=downloader))
    except (RequestException, ValueError) as error:  # ValueError: another hash; other errors are the disk's
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TrnetError(f"{item.url}: cannot be fetched ({reason}); fetch it by hand to {target}") from None
