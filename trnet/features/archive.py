"""Features of whole data dirs in Kaldi archives: feats.ark, feats.scp, utt2num_frames."""

import contextlib
import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trnet.audio.crop import read_cropped
from trnet.config import Config, Fbank, Features
from trnet.features import Extractor, fingerprint, make_extractor
from trnet.kaldi.ark import FILES, ArkReader, decode_matrix, encode, write_ark
from trnet.kaldi.data_dir import Clip, DataDir
from trnet.utils.errors import TrnetError, first_line
from trnet.utils.stamp import Stamp, dir_digest, file_digest, read_stamp
from trnet.utils.workers import imap

log = logging.getLogger(__name__)

STAMP = ".fbank.json"
GATE = "gate"  # folder of log-mels that the gate reads, below that of features which lie beside them
NEEDED = [name for name in FILES if name != "utt2checksum"]  # which older versions did not write


_extractor: Extractor  # of a worker process
_options: Features


def _begin(options: Features) -> None:
    global _extractor, _options
    _extractor, _options = make_extractor(options), options


def _features_of(job: tuple[str, Clip]) -> np.ndarray:
    """Features (frames, dim) of one utterance, cropped."""
    name, clip = job
    wav = torch.from_numpy(read_cropped(clip, _options))
    if not isinstance(_options, Fbank) and _extractor.num_frames(len(wav)) < 1:
        raise TrnetError(f"{clip.path}: {name}: {len(wav)} samples are shorter than one frame; remove it there")
    try:
        with torch.inference_mode():
            features = _extractor(wav)
    except ValueError as error:
        raise TrnetError(f"{clip.path}: {name}: {error}; remove the utterance there") from None
    except Exception as error:
        if not _options.is_own:
            raise
        raise TrnetError(f"{_options.type}: raised {type(error).__name__}: {first_line(error)}, on {name}") from None
    wanted = (_extractor.num_frames(len(wav)), _extractor.dim)
    if tuple(features.shape) != wanted or features.dtype != torch.float32:
        found = f"{tuple(features.shape)} {features.dtype}"
        raise TrnetError(f"{_options.type}: gives {found} instead of {wanted} torch.float32, on {name}; mend the class")
    return features.numpy()


def made_from(options: Features) -> dict[str, Any]:
    """What of the settings decides features, for a stamp."""
    found = {"features": options.record()}
    return found if isinstance(options, Fbank) else found | {"extractor": fingerprint(options)}


def gate_folder(features: Features) -> str:
    """Where the log-mels of the gate lie: below each folder of features, or, empty, in each folder of `dump` itself."""
    return "" if features.folder else GATE


def make_all_archives(sets: list[tuple[DataDir, str]], dump: Path, config: Config, nj: int) -> None:
    """Write the features of data dirs, and the log-mels that only the gate reads.

    Args:
        sets: Data dirs, and where below `dump`, or below the folder of these features there, the features of each go.
    """
    features = config.features
    make_archives([(data, dump / features.folder / out) for data, out in sets], features, nj)
    if (mels := config.gate_features) is not None:
        make_archives([(data, dump / out / gate_folder(features)) for data, out in sets], mels, nj)


def source_digest(data: Path) -> str:
    """Digest of a data dir but for features that lie there, too."""
    return dir_digest(data, ignore=(*FILES, STAMP))


def make_archives(sets: list[tuple[DataDir, Path]], features: Features, nj: int) -> None:
    """Write ``feats.ark``, ``feats.scp`` and ``utt2num_frames`` of data dirs to folders, each whole or not at all.

    Raises:
        TrnetError: For audio that cannot be read or is shorter than one frame.
    """
    todo, settings = [], made_from(features)
    for data, out in sets:
        stamp = Stamp(out, "fbank", {"data": source_digest(data.path), **settings})
        if stamp.done() and all((Path(out) / name).is_file() for name in NEEDED):
            log.info("%s: features up to date", out)
            continue
        if changed := stamp.changed():
            if features.folder and {"features", "extractor"} & set(changed):
                raise TrnetError(
                    f"{out}: has hidden states of other weights, layers, versions or settings; keep both "
                    "by naming another folder (run.sh --tag, --dump), or remove this one"
                )
            log.info("%s: features made anew, changed: %s", out, ", ".join(changed))
        todo.append((data, Path(out), stamp))
    jobs = [(f"utterance {utt} of {data.path}", data.clip(utt)) for data, _, _ in todo for utt in data.utts]
    matrices = imap(_features_of, jobs, nj, "features", initializer=_begin, initargs=(features,), worth=1000)
    with contextlib.closing(matrices):
        for data, out, stamp in todo:
            stamp.begin(clear=partial(clear_archive, out))
            write_ark(out, zip(data.utts, matrices, strict=False), features.compression)  # the other sets' come behind
            stamp.finish({"feats": file_digest(out / "feats.ark")})


def as_archived(matrix: np.ndarray, features: Features) -> np.ndarray:
    """What an archive gives back of features (frames, dim): compression rounds what networks are trained on."""
    return decode_matrix(encode(matrix, features.compression))


def check_archive(
    out: Path, data: Path, features: Features, frontend: dict[str, Any] | None = None, audio: Path | None = None
) -> None:
    """Make sure that a folder's features are whole, of these settings, and of what the data dir now holds.

    Args:
        data: Data dir of the audio before any enhancement.
        frontend: Fingerprint of what enhanced it; None: not compared.
        audio: Folder of the enhanced audio; None: `out`.
    """
    stamps = [read_stamp(out / STAMP), read_stamp((audio or out) / ".enhance.json")]
    extracted, enhanced = (stamp.get("made_from", {}) for stamp in stamps)
    if stamps[0].get("state") != "done":
        raise TrnetError(f"{out}: has no features; run stages 2 to 4 with this noise, SNR and front-end")
    if any(extracted.get(key) != value for key, value in made_from(features).items()):
        raise TrnetError(f"{out}: has features of other settings; run stages 2 to 4 with this configuration")
    if (enhanced or extracted).get("data") != dir_digest(data):
        raise TrnetError(f"{out}: was made from other audio than {data} now holds; run stages 3 and 4 again")
    if enhanced and audio not in (None, out) and extracted.get("data") != source_digest(audio):
        raise TrnetError(f"{out}: was made from other audio than {audio} now holds; run stage 4 again")
    if enhanced and frontend is not None:
        old = enhanced.get("frontend")
        if not isinstance(old, dict):
            raise TrnetError(f"{out}/.enhance.json: is damaged; run stages 3 and 4 again")
        if changed := sorted(k for k in old.keys() | frontend.keys() if old.get(k) != frontend.get(k)):
            raise TrnetError(
                f"{out}: was enhanced by another front-end than this configuration's (other {', '.join(changed)}); "
                "run stages 3 and 4 again"
            )


def features_digest(out: Path) -> str:
    """Digest of a folder's features: of their numbers and utterance ids, wherever the audio they are of may lie."""
    found = read_stamp(out / STAMP).get("results", {}).get("feats")
    if not isinstance(found, str):
        raise TrnetError(f"{out}: has no features; run stages 2 to 4 with this noise, SNR and front-end")
    return found


def open_features(out: Path) -> ArkReader:
    """The features of a folder, checked when they are read.

    Raises:
        TrnetError: If there are none.
    """
    if not (out / "feats.scp").is_file():
        raise TrnetError(f"{out}/feats.scp: no such file; run stages 2 to 4 for this condition and front-end")
    digest = read_stamp(out / STAMP).get("results", {}).get("feats")
    return ArkReader(out, digest if isinstance(digest, str) else None)


def clear_archive(out: Path) -> None:
    """Remove the features of a folder, and nothing else of it."""
    for name in FILES:
        (out / name).unlink(missing_ok=True)
