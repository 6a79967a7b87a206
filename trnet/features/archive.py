"""Features of whole data dirs in Kaldi archives: feats.ark, feats.scp, utt2num_frames."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import kaldiio
import numpy as np
import torch

from trnet.config import Features
from trnet.errors import TrnetError
from trnet.features.fbank import fbank
from trnet.files import whole_file
from trnet.heard import read_heard
from trnet.kaldi.data_dir import Clip, DataDir, write_table
from trnet.parallel import imap
from trnet.sections import as_dict
from trnet.stamp import Stamp, dir_digest, file_digest, read_stamp

OWN_FILES = ("feats.scp", "feats.ark", "utt2num_frames", ".fbank.json")


def _features_of(job: tuple[str, Clip, Features]) -> np.ndarray:
    """Features (frames, mels) of the heard span of one utterance."""
    name, clip, features = job
    wav = read_heard(clip, features)
    try:
        return fbank(torch.from_numpy(wav), features).numpy()
    except ValueError as error:
        raise TrnetError(f"{clip.path}: {name}: {error}; remove the utterance there") from None


def make_archives(sets: list[tuple[DataDir, Path]], features: Features, nj: int) -> None:
    """Write ``feats.ark``, ``feats.scp`` and ``utt2num_frames`` of data dirs to folders, each whole or not at all.

    Args:
        sets: Data dirs with the folder for the features of each.
        features: Settings.
        nj: Processes.

    Raises: TrnetError for audio that cannot be read or is shorter than one frame.
    """
    todo = []
    for data, out in sets:
        made_from = {"data": dir_digest(data.path, ignore=OWN_FILES), "features": as_dict(features)}
        stamp = Stamp(out, "fbank", made_from)
        if stamp.done():
            print(f"{out}: features up to date")
            continue
        if changed := stamp.changed():
            print(f"{out}: features made anew, changed: {', '.join(changed)}")
        todo.append((data, Path(out), stamp))
    jobs = [(f"utterance {utt} of {data.path}", data.clip(utt), features) for data, _, _ in todo for utt in data.utts]
    matrices = imap(_features_of, jobs, nj, "fbank", worth=1000)
    with contextlib.closing(matrices):
        for data, out, stamp in todo:
            stamp.begin(clear=lambda out=out: clear_archive(out))
            _write_archive(data, out, features, matrices)
            stamp.finish({"feats": file_digest(out / "feats.ark")})


def _write_archive(data: DataDir, out: Path, features: Features, matrices: Iterator[np.ndarray]) -> None:
    ark = out / "feats.ark"
    scp, lengths = {}, {}
    with whole_file(ark) as partial, open(partial, "wb") as stream:
        for utt in data.utts:
            matrix = next(matrices)
            scp[utt] = f"{ark}:{stream.tell() + len(utt.encode()) + 1}"  # the matrix stands behind "<utt> "
            lengths[utt] = str(len(matrix))
            _save(stream, utt, matrix, features)
    write_table(out / "feats.scp", scp)
    write_table(out / "utt2num_frames", lengths)


def _save(stream: BinaryIO, utt: str, matrix: np.ndarray, features: Features) -> None:
    kaldiio.save_ark(stream, {utt: matrix}, compression_method=features.compression or None)


def as_archived(matrix: np.ndarray, features: Features) -> np.ndarray:
    """What an archive gives back of features (frames, mels): compression rounds them, and networks heard them so."""
    stream = io.BytesIO()
    _save(stream, "utt", matrix, features)
    stream.seek(0)
    return next(kaldiio.load_ark(stream))[1]


def check_archive(out: Path, data: Path, features: Features, frontend: dict[str, Any] | None = None) -> None:
    """Make sure that a folder's features are whole, of these settings, and of what the data dir now holds.

    Args:
        out: Folder of the features.
        data: Data dir of the audio that was noisy or clean, before any enhancement.
        features: Settings.
        frontend: Fingerprint of the front-end that enhanced the audio; None: not compared.

    Raises: TrnetError if not.
    """
    fbank, enhanced = read_stamp(out / ".fbank.json"), read_stamp(out / ".enhance.json")
    if fbank.get("state") != "done":
        raise TrnetError(f"{out}: has no features; run stages 2 to 4 with this noise, SNR and front-end")
    if fbank["made_from"]["features"] != as_dict(features):
        raise TrnetError(f"{out}: has features of other settings; run stages 2 to 4 with this configuration")
    source = enhanced["made_from"]["data"] if enhanced else fbank["made_from"]["data"]
    if source != dir_digest(data):
        raise TrnetError(f"{out}: was made from other audio than {data} now holds; run stages 3 and 4 again")
    if enhanced and frontend is not None:
        old = enhanced["made_from"]["frontend"]
        if changed := sorted(k for k in old.keys() | frontend.keys() if old.get(k) != frontend.get(k)):
            raise TrnetError(
                f"{out}: was enhanced by another front-end than this configuration's (other {', '.join(changed)}); "
                "run stages 3 and 4 again"
            )


def features_digest(out: Path) -> str:
    """Digest of a folder's features: of their numbers and utterance ids, wherever the audio they are of may lie.

    Raises: TrnetError if there are none.
    """
    try:
        return read_stamp(out / ".fbank.json")["results"]["feats"]
    except KeyError:
        raise TrnetError(f"{out}: has no features; run stages 2 to 4 with this noise, SNR and front-end") from None


def clear_archive(out: Path) -> None:
    """Remove the features of a folder, and nothing else of it."""
    for name in OWN_FILES[:3]:
        (out / name).unlink(missing_ok=True)
