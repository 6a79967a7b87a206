"""DEMAND (Thiemann et al., ICA 2013): noise of 18 environments, five minutes each, by 16 microphones, cut into 5 s.

``DKITCHEN/ch01.wav`` ... ``ch16.wav``, at 16 or 48 kHz (SCAFE at 48 kHz only). The microphones heard the same at the
same time: the first one is taken, and an environment is one source.
"""

from pathlib import Path

from trnet.corpora.contract import Contract
from trnet.corpora.noise import cut, write_noise
from trnet.corpora.source import Source
from trnet.kaldi.data_dir import DataDir

DEMAND = Source(
    title="DEMAND",
    layout="[A-Z]*/ch01.wav",
    option="--demand-dir",
    origin="zenodo.org/records/1227121 (unpack the zip files beside each other)",
    folders=("DEMAND", "demand"),
)


def demand_files(root: Path) -> list[Path]:
    """Every file that the preparation reads: the first microphone of each environment.

    Raises: TrnetError if DEMAND is not there.
    """
    return sorted(DEMAND.locate(root).glob(DEMAND.layout))


def prepare_demand(
    root: Path, out: Path, contract: Contract | None = None, nj: int = 1, channel: int | None = None
) -> DataDir:
    """Write the noise directory `out` of DEMAND in `root`; a segment is named ``DKITCHEN-0003``, counted from 0.

    Raises: TrnetError for a missing corpus, or unusable audio.
    """
    environments = {path.parent.name: path for path in demand_files(root)}
    return write_noise(root, out, cut(environments), contract, nj, channel)
