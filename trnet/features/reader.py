"""The dumped features of a corpus: Kaldi archives by kind and condition."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trnet.conditions import Condition
from trnet.features.archive import open_features
from trnet.kaldi.ark import ArkReader
from trnet.kaldi.data_dir import read_table
from trnet.utils.errors import TrnetError
from trnet.utils.numbers import whole

AGAIN = "remove that file and run stage 4 again"  # which leaves alone what is there
FeatureSet = tuple[str, Condition]  # kind (noisy or enhanced) and condition: one archive

_opening = threading.Lock()  # so that threads which read a folder read its tables once


class Reader(Protocol):
    """What gives a `FeatureCache` its features."""

    def matrix(self, kind: str, utt: str, condition: Condition) -> np.ndarray:
        """See `FeatureReader.matrix`."""

    def read_many(self, kind: str, condition: Condition, places: Mapping[str, np.ndarray]) -> list[str]:
        """See `FeatureReader.read_many`."""


class Lengths(dict[str, int]):
    """Frames or samples of each utterance of a table; one that the table lacks is a TrnetError."""

    def __init__(self, lengths: Mapping[str, int], table: Path, hint: str = AGAIN) -> None:
        super().__init__(lengths)
        self.table, self.hint = table, hint

    def __missing__(self, utt: str) -> int:
        raise TrnetError(f"{self.table}: has no {utt}; {self.hint}")


class FeatureReader:
    """The dumped features of one corpus: unprocessed under ``<dump>/raw``, enhanced under ``<dump>/<frontend>``."""

    def __init__(self, dump: Path, frontend: str, corpus: str, dim: int | None = None) -> None:
        """`dim`: values of a frame; None: not looked at."""
        self.dump, self.frontend, self.corpus, self.dim = Path(dump), frontend, corpus, dim
        self._readers: dict[Path, ArkReader] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What another process gets, which opens the archives for itself."""
        return self.__dict__ | {"_readers": {}}

    def folder(self, kind: str, condition: Condition) -> Path:
        """Where the features of a kind (noisy or enhanced) and condition lie."""
        return self.dump / ("raw" if kind == "noisy" else self.frontend) / condition.data_name(self.corpus)

    def matrix(self, kind: str, utt: str, condition: Condition) -> np.ndarray:
        """Features (frames, dim) float32 of a clean utterance id under a condition. TrnetError if there are none."""
        folder, key = self.folder(kind, condition), condition.utt(utt)
        reader = self._reader(folder)
        try:
            matrix = reader[key]
        except KeyError:
            raise TrnetError(f"{folder}/feats.scp: no features of {key}; {AGAIN}") from None
        except (OSError, ValueError) as error:
            raise TrnetError(f"{folder}/feats.ark: cannot read {key} ({error}); {AGAIN}") from None
        if self.dim not in (None, matrix.shape[1]):
            raise TrnetError(f"{folder}/feats.ark: {key} has {matrix.shape[1]} values a frame, not {self.dim}; {AGAIN}")
        return matrix

    def read_many(self, kind: str, condition: Condition, places: Mapping[str, np.ndarray]) -> list[str]:
        """Read features of clean utterance ids fast, each to its place: an array (frames, dim) float32 of their shape.

        Returns:
            The utterances that were not read, in order: what `matrix` reads in another way, or refuses with the reason.
        """
        names = {condition.utt(utt): utt for utt in places}
        try:
            reader = self._reader(self.folder(kind, condition))
        except TrnetError:
            return list(places)
        return [names[key] for key in reader.read_many({key: places[utt] for key, utt in names.items()})]

    def _reader(self, folder: Path) -> ArkReader:
        with _opening:
            if folder not in self._readers:
                self._readers[folder] = open_features(folder)
            return self._readers[folder]

    def lengths(self, condition: Condition) -> dict[str, int]:
        """Frames of each utterance, by its id under the condition.

        Raises:
            TrnetError: Without a good table.
        """
        path = self.folder("noisy", condition) / "utt2num_frames"
        try:
            return Lengths({utt: whole(count, low=1) for utt, count in read_table(path).items()}, path)
        except ValueError as error:
            raise TrnetError(f"{path}: {error}; {AGAIN}") from None
