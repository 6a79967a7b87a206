"""Names of test and training conditions and of the folders that they have, in one place.

A condition is ``clean`` or a noise set at an SNR; its data dir is ``data/<corpus>`` or
``data/<corpus>_<noise>_<snr>db``, its utterances carry the suffix ``-<noise>_<snr>db``.
"""

from dataclasses import dataclass

from trnet.utils.names import noise_name


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
