"""Mean and standard deviation over time of every hidden state, of each utterance of a set, kept on disk.

``<dump>/<network>_layers/raw/<set>/`` holds them in parts of some utterances, in the order of the clean utterance ids;
what is stopped goes on with the parts that are missing.
"""

import contextlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from trnet.audio.crop import read_cropped
from trnet.conditions import Condition
from trnet.config.features import Upstream
from trnet.features.archive import source_digest
from trnet.features.upstream import UpstreamExtractor
from trnet.features.upstream.hidden_states import layer_numbers
from trnet.kaldi.data_dir import Clip, DataDir
from trnet.runs.layer_choice import network_record
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_bytes
from trnet.utils.locks import only_one
from trnet.utils.stamp import Stamp, digest, file_digest, read_stamp
from trnet.utils.workers import imap

PART = 64  # utterances
STEP = "layers"
log = logging.getLogger(__name__)

_extractor: UpstreamExtractor  # of a worker process
_options: Upstream
_groups: list[list[int]]


def layer_groups(count: int, folder: Path) -> dict[str, list[int]]:
    """What is compared in a network of `count` layers: each hidden state, and ``middle`` where it is of several."""
    groups = {str(number): [number] for number in range(count + 1)}
    middle = layer_numbers("middle", count, folder)
    return groups | ({"middle": middle} if len(middle) > 1 else {})


@dataclass(frozen=True)
class LayerStatistics:
    """The statistics of one set."""

    folder: Path
    layers: tuple[str, ...]
    utts: tuple[str, ...]  # clean utterance ids, in order
    dim: int  # of a hidden state

    @property
    def parts(self) -> dict[Path, tuple[str, ...]]:
        """Files, and whose statistics they hold."""
        begins = range(0, len(self.utts), PART)
        return {self.folder / f"{begin:06d}.npy": self.utts[begin : begin + PART] for begin in begins}

    def shape(self, utts: Sequence[str]) -> tuple[int, int, int]:
        """Of a file that holds those of `utts`."""
        return len(utts), len(self.layers), 2 * self.dim

    def of_layer(self, layer: str) -> np.ndarray:
        """Statistics (utts, 2 dim) float32 of a layer. TrnetError for a file that is gone or damaged."""
        found = []
        for path, utts in self.parts.items():
            try:
                part = np.load(path, mmap_mode="r")
                if part.shape != self.shape(utts):
                    raise ValueError
                found.append(np.array(part[:, self.layers.index(layer)]))
            except (OSError, ValueError, EOFError):
                raise TrnetError(f"{path}: is gone or damaged; remove {self.folder} and run this again") from None
        return np.concatenate(found)

    def digest(self) -> str:
        """Of all that it holds."""
        return digest(read_stamp(self.folder / f".{STEP}.json").get("results"))


def make_layer_statistics(
    sets: Sequence[tuple[DataDir, Condition]],
    utts: Sequence[str],
    options: Upstream,
    dump: Path,
    nj: int,
    device: torch.device,
) -> list[LayerStatistics]:
    """Compute what is not there yet of the statistics of sets.

    Args:
        sets: Data dirs, and the condition of each.
        utts: Clean utterance ids.
        options: Which network; `options.layer` says nothing here.
        dump: Folder of features.
        nj: Processes; those that compute on a GPU share it.

    Raises:
        TrnetError: For audio that cannot be read or is shorter than one frame, or a network that cannot be loaded.
    """
    options = options.replace(layer="middle")
    extractor = UpstreamExtractor(**options.options())
    groups = layer_groups(extractor.count, extractor.folder)
    settings = network_record(options)
    settings["extractor"] |= {"layers": list(groups.values())}
    root = dump / f"{options.network_name}_layers" / "raw"
    found, todo = [], []
    with contextlib.ExitStack() as locks:
        for data, condition in sets:
            folder = root / data.path.name
            locks.enter_context(only_one(folder))
            statistics = LayerStatistics(folder, tuple(groups), tuple(utts), extractor.dim)
            stamp = Stamp(folder, STEP, {"data": source_digest(data.path), "utts": digest(utts), **settings})
            found.append(statistics)
            if missing := _missing(statistics, stamp):
                todo.append((data, condition, statistics, stamp, missing))
            else:
                log.info("%s: statistics of all layers up to date", folder)
        jobs = [data.clip(condition.utt(utt)) for data, condition, _, _, missing in todo for utt in _in(missing)]
        del extractor
        start = (options, list(groups.values()), device)
        rows = imap(_pooled, jobs, nj, "layers", initializer=_begin, initargs=start, worth=40)
        with contextlib.closing(rows):
            for _, _, statistics, stamp, missing in todo:
                stamp.begin()
                for path, members in missing.items():
                    _write(path, np.stack([next(rows) for _ in members]))
                stamp.finish({path.name: file_digest(path) for path in statistics.parts})
    return found


def _in(parts: dict[Path, tuple[str, ...]]) -> list[str]:
    return [utt for utts in parts.values() for utt in utts]


def _missing(statistics: LayerStatistics, stamp: Stamp) -> dict[Path, tuple[str, ...]]:
    """The parts that are not there, made from this; a finished one that was changed is removed."""
    if changed := stamp.changed():
        log.info("%s: statistics of all layers made anew, changed: %s", statistics.folder, ", ".join(changed))
    there = read_stamp(stamp.path)
    if there.get("made_from") != stamp.made_from:
        return statistics.parts
    known = there.get("results", {})
    for path in statistics.parts:
        if path.name in known and path.is_file() and file_digest(path) != known[path.name]:
            log.info("%s: was changed; it is made anew", path)
            path.unlink()
    missing = {path: utts for path, utts in statistics.parts.items() if not path.is_file()}
    if not missing and not stamp.done():  # stopped before the last line
        stamp.finish({path.name: file_digest(path) for path in statistics.parts})
    return missing


def _write(path: Path, part: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, part)
    write_bytes(path, content.getvalue())


def _begin(options: Upstream, groups: list[list[int]], device: torch.device) -> None:
    global _extractor, _options, _groups
    _extractor, _options, _groups = UpstreamExtractor(**options.options()).to(device), options, groups


def _pooled(clip: Clip) -> np.ndarray:
    """(layers, 2 dim) float32 of one utterance, cropped."""
    wav = torch.from_numpy(read_cropped(clip, _options))
    try:
        pooled: np.ndarray = _extractor.pooled(wav, _groups).numpy()
    except ValueError as error:
        raise TrnetError(f"{clip.path}: {clip.name}: {error}; remove the utterance there") from None
    return pooled
