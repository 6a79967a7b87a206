"""Names of test and training conditions and of the folders that they have, in one place.

A condition is ``clean`` or a noise set at an SNR; its data dir is ``data/<corpus>`` or
``data/<corpus>_<noise>_<snr>db``, its utterances carry the suffix ``-<noise>_<snr>db``.
"""

import contextlib
import re
from dataclasses import dataclass

from trnet.utils.errors import TrnetError
from trnet.utils.names import noise_name
from trnet.utils.numbers import real


@dataclass(frozen=True)
class Condition:
    """Clean speech (`noise` is None), or one noise set at one SNR in dB."""

    noise: str | None = None
    snr_db: float | None = None

    @property
    def name(self) -> str:
        """``clean`` or e.g. ``esc_20db``."""
        return "clean" if self.noise is None else f"{self.noise}_{self.snr_db:g}db"

    def data_name(self, corpus: str) -> str:
        """Name of the data dir, e.g. ``nemo_esc_20db``."""
        return corpus if self.noise is None else f"{corpus}_{self.name}"

    def utt(self, clean_utt: str) -> str:
        """Utterance id under this condition."""
        return clean_utt if self.noise is None else f"{clean_utt}-{self.name}"


CLEAN = Condition()
NOISY = re.compile(r"([A-Za-z0-9]+)_(\S+)db")


def condition_named(name: str) -> Condition:
    """The condition of a name as `Condition.name` gives it; TrnetError for another text."""
    if name == CLEAN.name:
        return CLEAN
    found = NOISY.fullmatch(name)
    with contextlib.suppress(ValueError):  # no number
        if found is not None:
            return Condition(found[1], real(found[2]))
    raise TrnetError(f"'{name}' is no condition, as are clean and esc_10db")


def noisy_conditions(noises: list[str], snrs: list[float]) -> list[Condition]:
    """Every noise set at every SNR, in the order given.

    Raises:
        TrnetError: For a name that no folder can have.
    """
    for noise in noises:
        noise_name(noise, "--noises")
    return [Condition(noise, snr) for noise in noises for snr in snrs]


def training_conditions(train_noise: str, snrs: list[float]) -> list[Condition]:
    """Conditions of training (Section 4.3): clean speech and the matched noise at every SNR, nothing else."""
    return [CLEAN, *noisy_conditions([train_noise], snrs)]
