"""Waveforms of a corpus as `FeatureCache` reads features: (samples, 1) by kind and condition.

Noisy ones are those of the data dirs of stage 2, enhanced ones those that stage 3 wrote; both cropped as features are.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trnet.audio.crop import crop_settings, read_cropped
from trnet.audio.decoding import open_sound
from trnet.audio.pipes import is_pipe
from trnet.conditions import Condition
from trnet.config import Features
from trnet.features.reader import Lengths
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError
from trnet.utils.stamp import read_stamp

_opening = threading.Lock()  # so that threads which read a data dir read its tables once


class WaveReader:
    """The waveforms of one corpus: noisy ones of ``<data>``, enhanced ones of ``<dump>/<frontend>``."""

    def __init__(self, data: Path, dump: Path, frontend: str, corpus: str, features: Features) -> None:
        """`data`: the folder of data dirs. `features`: how waveforms are cropped."""
        self.data, self.enhanced, self.corpus, self.features = Path(data), Path(dump) / frontend, corpus, features
        self._dirs: dict[Path, DataDir] = {}

    def folder(self, kind: str, condition: Condition) -> Path:
        """The data dir of a kind (noisy or enhanced) and condition."""
        return (self.data if kind == "noisy" else self.enhanced) / condition.data_name(self.corpus)

    def matrix(self, kind: str, utt: str, condition: Condition) -> np.ndarray:
        """Samples (n, 1) float32 of a clean utterance id under a condition. TrnetError if they cannot be read."""
        clip = self._dir(self.folder(kind, condition)).clip(condition.utt(utt))
        return read_cropped(clip, self.features)[:, None]

    def read_many(self, kind: str, condition: Condition, places: Mapping[str, np.ndarray]) -> list[str]:
        """Which utterances `matrix` has to read one by one: all of them."""
        return list(places)

    def lengths(self, condition: Condition) -> dict[str, int]:
        """Samples of each clean utterance after cropping, by the files of stage 3, which are cropped.

        Raises:
            TrnetError: If one is missing or damaged.
        """
        data = self._dir(self.folder("enhanced", condition))
        found = Lengths({}, data.path / "wav.scp", "remove that file and run stage 3 again")
        for utt in data.utts:
            sound = open_sound(data.clip(utt).path)
            sound.close()
            found[utt] = sound.frames or 0
        return found

    def _dir(self, folder: Path) -> DataDir:
        with _opening:
            if folder not in self._dirs:
                data = DataDir(folder)
                if any(map(is_pipe, data["wav.scp"].values())):
                    raise TrnetError(
                        f"{folder}/wav.scp: names programs ('command |'), which are not run in training; write their "
                        "audio to files, or set gate.mix to features"
                    )
                self._dirs[folder] = data
            return self._dirs[folder]


def check_enhanced(folder: Path, features: Features) -> None:
    """Make sure that the enhanced audio of a folder is whole, and cropped as by these settings."""
    stamp: dict[str, Any] = read_stamp(folder / ".enhance.json")
    if stamp.get("state") != "done" or stamp.get("made_from", {}).get("span") != crop_settings(features):
        raise TrnetError(f"{folder}: has no enhanced audio of these features' length; run stages 2 to 4 again")
