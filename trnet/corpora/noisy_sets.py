"""Pairs out of noisy sets that stage 2 of an ser1 recipe made."""

from pathlib import Path

from trnet.corpora.pairs import NoisyPair
from trnet.kaldi.data_dir import DataDir
from trnet.utils.errors import TrnetError


def _folders(recipe: Path, name: str) -> tuple[DataDir, DataDir]:
    """The noisy set ``<corpus>_<noise>_<snr>db`` of a recipe, and its corpus."""
    corpus = name.rsplit("_", 2)[0]
    if corpus == name or not name.endswith("db"):
        raise TrnetError(f"sets: '{name}' is no noisy set; give names like mini_esc_5db, folders of {recipe}/data")
    return DataDir(recipe / "data" / name), DataDir(recipe / "data" / corpus)


def noisy_set_folders(recipe: Path, name: str) -> list[Path]:
    """The data directories that a set is read from, for their digests."""
    return [data.path for data in _folders(recipe, name)]


def read_noisy_set(recipe: Path, name: str) -> list[NoisyPair]:
    """The pairs of a noisy set, a folder of ``<recipe>/data``: what was mixed, and the speech before it."""
    noisy, speech = _folders(recipe, name)
    pairs = []
    for utt in noisy.utts:
        mixed, clean = noisy.clip(utt), speech.clip(noisy["utt2clean"][utt])
        if mixed.end_s is not None or clean.end_s is not None:
            raise TrnetError(f"{noisy.path}: {utt} is a span of a recording; pairs need files of their own")
        noise, snr_db = noisy["utt2noise"][utt], float(noisy["utt2snr"][utt])
        pairs.append(NoisyPair(utt, noisy["utt2spk"][utt], mixed.path, clean.path, noise, snr_db))
    return pairs
