"""Features of whole data dirs in Kaldi archives: feats.ark, feats.scp, utt2num_frames."""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from trnet.config import Config, Fbank, Features, Upstream
from trnet.features import fingerprint
from trnet.features.computing import BATCHED, Job, in_batches, jobs_of, log_estimate, one_by_one
from trnet.kaldi.ark import FILES, ArkReader, decode_matrix, encode, open_ark, write_ark
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, dir_digest, file_digest, read_stamp

log = logging.getLogger(__name__)

STAMP = ".fbank.json"
NEEDED = [name for name in FILES if name != "utt2checksum"]  # which older versions did not write

CPU = torch.device("cpu")
GROUP_HOURS = 50  # of audio that a GPU is given together, at most: clips of one length make full batches


def made_from(options: Features) -> dict[str, Any]:
    """What of the settings decides features, for a stamp."""
    found = {"features": options.record()}
    return found if isinstance(options, Fbank) else found | {"extractor": fingerprint(options)}


def make_all_archives(
    sets: list[tuple[DataDir, str]],
    dump: Path,
    config: Config,
    nj: int,
    device: torch.device = CPU,
    shard: tuple[int, int] = (1, 1),
) -> None:
    """Write the features of data dirs, and the log-mels that only the gate reads.

    Args:
        sets: Data dirs, and where below `dump`, or below the folder of these features there, the features of each go.
        nj, device, shard: See `make_archives`.
    """
    features = config.features
    make_archives([(data, dump / features.folder / out) for data, out in sets], features, nj, device, shard)
    if (mels := config.gate_features) is not None:
        make_archives([(data, dump / out) for data, out in sets], mels, nj, shard=shard)


def source_digest(data: Path) -> str:
    """Digest of a data dir but for features that lie there, too."""
    return dir_digest(data, ignore=(*FILES, STAMP))


class _Set(NamedTuple):
    """A data dir without features, where they go, and their stamp."""

    data: DataDir
    out: Path
    stamp: Stamp
    jobs: list[Job]


def make_archives(
    sets: list[tuple[DataDir, Path]],
    features: Features,
    nj: int,
    device: torch.device = CPU,
    shard: tuple[int, int] = (1, 1),
) -> None:
    """Write ``feats.ark``, ``feats.scp`` and ``utt2num_frames`` of data dirs to folders, each whole or not at all.

    Args:
        nj: Processes, on a CPU.
        device: A GPU computes those features that can be there.
        shard: (k, n): every n-th set, from the k-th on; others are made elsewhere at the same time.

    Raises:
        TrnetError: For audio that cannot be read or is shorter than one frame, a disk without room, features of other
            weights that would be lost, or a folder that another process works on.
    """
    part, parts = shard
    todo = list(_unfinished(sets[part - 1 :: parts], features))
    if features.type in BATCHED and todo:
        log_estimate([each.jobs for each in todo], [each.out for each in todo], features, nj, device)
    if _takes_batches(device, features):
        for group in _groups(todo):
            _make_together(group, features, device)
        return
    matrices = one_by_one([job for each in todo for job in each.jobs], features, nj)
    with contextlib.closing(matrices):
        for data, out, stamp, _ in todo:
            with only_one(out):
                stamp.begin(clear=partial(clear_archive, out))
                write_ark(out, zip(data.utts, matrices, strict=False), features.compression)  # the others come behind
                stamp.finish({"feats": file_digest(out / "feats.ark")})


def _takes_batches(device: torch.device, features: Features) -> bool:
    """Whether features are computed for several utterances at a time."""
    return device.type != "cpu" and features.type in BATCHED


def _unfinished(sets: Iterable[tuple[DataDir, Path]], features: Features) -> Iterator[_Set]:
    settings = made_from(features)
    for number, (data, out) in enumerate(sets):
        stamp = Stamp(out, "fbank", {"data": source_digest(data.path), **settings})
        if stamp.done() and all((out / name).is_file() for name in NEEDED):
            log.info("%s: features up to date", out)
            continue
        if changed := stamp.changed():
            hours = isinstance(features, Upstream)  # that it may take to make them
            if hours and {"features", "extractor"} & set(changed) and (out / "feats.ark").is_file():
                raise TrnetError(
                    f"{out}: has hidden states of other weights, layers, versions or settings; keep both "
                    "by naming another folder (run.sh --tag, --dump), or remove this one"
                )
            log.info("%s: features made anew, changed: %s", out, ", ".join(changed))
        yield _Set(data, out, stamp, jobs_of(number, data, features))


def _groups(sets: list[_Set]) -> Iterator[list[_Set]]:
    """Neighbouring sets of together at most `GROUP_HOURS` of audio, unless one has more."""
    group: list[_Set] = []
    hours = 0.0
    for each in sets:
        more = sum(job.seconds for job in each.jobs) / 3600
        if group and hours + more > GROUP_HOURS:
            yield group
            group, hours = [], 0.0
        group.append(each)
        hours += more
    if group:
        yield group


def _make_together(sets: list[_Set], features: Features, device: torch.device) -> None:
    """The features of some sets, utterances of one length together."""
    with contextlib.ExitStack() as stack:
        for each in sets:
            stack.enter_context(only_one(each.out))
            each.stamp.begin(clear=partial(clear_archive, each.out))
        with contextlib.ExitStack() as archives:
            add = {
                each.jobs[0].number: archives.enter_context(open_ark(each.out, features.compression)) for each in sets
            }
            for job, matrix in in_batches([job for each in sets for job in each.jobs], features, device):
                add[job.number](job.utt, matrix)
        for each in sets:
            each.stamp.finish({"feats": file_digest(each.out / "feats.ark")})


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
