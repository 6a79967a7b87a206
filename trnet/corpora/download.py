"""Fetching what may be fetched freely: corpora as their authors give them out, and front-end weights."""

import os
import shutil
import tarfile
import tempfile
import urllib.error
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch

from trnet.errors import TrnetError


@dataclass(frozen=True)
class Download:
    """A file, or an archive that is unpacked.

    Attributes:
        url: where it lies.
        licence: under which it may be used; said before it is fetched.
        sha256: of the file, where its authors keep it as it is.
    """

    url: str
    licence: str
    sha256: str | None = None


CORPORA = {
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

    Raises: TrnetError if it cannot be fetched, is not what was expected, or is no archive.
    """
    name = item.url.rpartition("/")[2]
    unpack = name.endswith((".zip", ".tar.gz"))
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"{target}: fetching {item.url} (licence: {item.licence})")
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as partial:
        file = Path(partial) / name
        try:
            torch.hub.download_url_to_file(item.url, str(file), hash_prefix=item.sha256)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            if isinstance(error, OSError) and not isinstance(error, urllib.error.URLError) and error.errno:
                raise  # the disk, not the network
            raise TrnetError(f"{item.url}: cannot be fetched ({error}); fetch it by hand to {target}") from None
        if not unpack:
            os.replace(file, target)
            return
        folder = Path(partial) / "unpacked"
        try:
            # members that would leave the folder: a zip's are passed over by shutil, a tar's refused by the filter
            shutil.unpack_archive(file, folder, **({} if name.endswith(".zip") else {"filter": "data"}))
        except (shutil.ReadError, tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
            raise TrnetError(f"{item.url}: is no archive ({error}); fetch it by hand to {target}") from None
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        os.replace(folder, target)
