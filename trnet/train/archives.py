"""The dumped features of a corpus: Kaldi archives by kind and condition."""

from collections.abc import Mapping
from pathlib import Path

import kaldiio
import numpy as np

from trnet.conditions import Condition
from trnet.errors import TrnetError
from trnet.kaldi.data_dir import read_table


class Archives:
    """The dumped features of one corpus: unprocessed under ``<dump>/raw``, enhanced under ``<dump>/<frontend>``."""

    def __init__(self, dump: Path, frontend: str, corpus: str) -> None:
        self.dump, self.frontend, self.corpus = Path(dump), frontend, corpus
        self._scp: dict[Path, Mapping[str, np.ndarray]] = {}

    def folder(self, kind: str, condition: Condition) -> Path:
        """Where the features of a kind (noisy or enhanced) and condition lie."""
        return self.dump / ("raw" if kind == "noisy" else self.frontend) / condition.data_name(self.corpus)

    def matrix(self, kind: str, utt: str, condition: Condition) -> np.ndarray:
        """Features (frames, mels) float32 of a clean utterance id under a condition.

        Raises: TrnetError if they were not dumped, or the archive is damaged.
        """
        folder = self.folder(kind, condition)
        if folder not in self._scp:
            scp = folder / "feats.scp"
            if not scp.is_file():
                raise TrnetError(f"{scp}: no such file; run stages 2 to 4 for this condition and front-end")
            self._scp[folder] = kaldiio.load_scp(str(scp), max_cache_fd=8)
        key = condition.utt(utt)
        try:
            return self._scp[folder][key]
        except KeyError:
            raise TrnetError(f"{folder}/feats.scp: no features of {key}; run stage 4 again") from None
        except (OSError, ValueError, AssertionError, RuntimeError) as error:
            raise TrnetError(f"{folder}/feats.ark: cannot read {key} ({error}); run stage 4 again") from None

    def lengths(self, condition: Condition) -> dict[str, int]:
        """Frames of each utterance, by its id under the condition."""
        table = read_table(self.folder("noisy", condition) / "utt2num_frames")
        return {utt: int(count) for utt, count in table.items()}
