"""Which scores a table holds, so that a narrower table never takes the place of a wider one."""

import hashlib
import re
from collections.abc import Collection

import pandas as pd

from trnet.eval.predictions import natural_key, noise_key, system_key

Score = tuple[str, str, int, str, float | None]  # system, fold, seed, noise set, SNR in dB (None: clean speech)
LONGEST = 100  # characters of a suffix


def scores_in(rows: pd.DataFrame) -> set[Score]:
    """The scores in rows of predictions.csv or results.csv."""
    every = rows[["system", "fold", "seed", "noise", "snr_db"]].drop_duplicates()
    return {(*key, None if pd.isna(snr) else float(snr)) for *key, snr in every.values.tolist()}


def suffix_beside(mine: Collection[Score], there: Collection[Score]) -> str:
    """What the names of a table's files get beside a table that is there; empty if it may take that one's place.

    It may where it has every score that the other has. Else the suffix names what differs: ``_baseline_n`` has other
    systems, ``_fold2`` and ``_folds1+2`` other folds; seeds, noise sets and SNRs likewise.
    """
    if set(there) <= set(mine):
        return ""
    parts = [name for name, other in zip(_named(mine), _named(there), strict=True) if name != other]
    suffix = "".join(f"_{re.sub(r'[^A-Za-z0-9_.+-]', '-', part)}" for part in parts if part)
    if len(suffix) > LONGEST:
        suffix = f"{suffix[: LONGEST - 9]}_{hashlib.sha256(suffix.encode()).hexdigest()[:8]}"
    return suffix


def lacking(mine: Collection[Score], there: Collection[Score]) -> str:
    """What a table has and another one lacks, in words: ``systems baseline_c trnet, folds 2``."""
    words = ("systems", "folds", "seeds", "noise sets", "SNRs")
    pairs = zip(words, _values(mine), _values(there), strict=True)
    lacks = [(word, [value for value in other if value not in own]) for word, own, other in pairs]
    return ", ".join(f"{word} {' '.join(values)}" for word, values in lacks if any(values)) or "other runs"


def _values(scores: Collection[Score]) -> list[list[str]]:
    """Systems, folds, seeds, noise sets, SNRs; each in the order of the tables."""
    systems, folds, seeds, noises, snrs = (set(column) for column in zip(*scores, strict=True))
    return [
        sorted(systems, key=system_key),
        sorted((fold.partition("@")[0] for fold in folds), key=natural_key),
        [str(seed) for seed in sorted(seeds)],
        sorted(noises - {"clean"}, key=noise_key),
        [f"{snr:g}" for snr in sorted(snrs - {None}, reverse=True)],
    ]


def _named(scores: Collection[Score]) -> list[str]:
    systems, folds, seeds, noises, snrs = _values(scores)
    return [
        "+".join(systems),
        f"fold{'s' if len(folds) > 1 else ''}{'+'.join(folds)}",
        f"seed{'s' if len(seeds) > 1 else ''}{'+'.join(seeds)}",
        f"noise_{'+'.join(noises)}" if noises else "clean",
        f"snr{'+'.join(snrs)}" if snrs else "",
    ]
