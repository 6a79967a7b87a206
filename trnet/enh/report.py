"""results.csv and RESULTS.md of trained front-ends: SI-SDR, PESQ and STOI of the test set, over all and per SNR."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from trnet.enh.metrics import METRICS, Scores, mean_scores
from trnet.eval.coverage import Score, lacking, suffix_beside
from trnet.eval.csv_files import read_checked_csv
from trnet.eval.predictions import snr_text
from trnet.utils.files import write_text
from trnet.utils.numbers import whole

log = logging.getLogger(__name__)

COLUMNS = ("frontend", "seed", "snr_db", "n_utts", *METRICS)
NOISY = "noisy"
TITLES = {"si_sdr": "SI-SDR (dB)", "pesq": "PESQ (wide-band)", "stoi": "STOI (%)"}
DIGITS = {"si_sdr": 2, "pesq": 3, "stoi": 2}

RunScores = Mapping[tuple[str, int | None], pd.DataFrame]
"""Scores (see `score_test_set`) by front-end and seed; ``(NOISY, None)`` is the noisy speech."""


def _snrs(frame: pd.DataFrame) -> list[float]:
    return sorted(frame["snr_db"].dropna().unique().tolist())


def _at(frame: pd.DataFrame, snr_db: float) -> pd.DataFrame:
    """The utterances at an SNR; NaN: all."""
    return frame if math.isnan(snr_db) else frame[frame["snr_db"] == snr_db]


def _means(frame: pd.DataFrame) -> Scores:
    return mean_scores(frame[list(METRICS)].to_numpy())


def results_csv(runs: RunScores) -> str:
    """One row a run over all utterances (empty snr_db), and one for each known SNR."""
    rows = []
    for (name, seed), frame in runs.items():
        for snr_db in (math.nan, *_snrs(frame)):
            part = _at(frame, snr_db)
            means = [f"{value:.4f}" for value in _means(part)]
            rows.append([name, "" if seed is None else str(seed), snr_text(snr_db), str(len(part)), *means])
    return pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False, lineterminator="\n")


def _cell(metric: str, value: float, base: float | None = None) -> str:
    """A score, and its difference from the noisy speech's."""
    if math.isnan(value):
        return "-"
    scale, digits = (100 if metric == "stoi" else 1), DIGITS[metric]
    text = f"{scale * value:.{digits}f}"
    return text if base is None else f"{text} ({scale * (value - base):+.{digits}f})"


def _label(name: str, seed: int | None) -> str:
    return "noisy, as it is" if seed is None else f"{name}, seed {seed}"


def _table(head: list[str], lines: list[list[str]]) -> list[str]:
    ruler = ["---", *["--:"] * (len(head) - 1)]
    return ["| " + " | ".join(cells) + " |" for cells in (head, ruler, *lines)]


def render(runs: RunScores, header: Mapping[str, str]) -> str:
    """RESULTS.md of the scores of the noisy speech and of every run; `header` says how they were made."""
    noisy = runs[(NOISY, None)]
    lines = ["# Results", "", *(f"- {key}: {value}" for key, value in header.items()), ""]
    lines += ["## Test set", "", "Means over the utterances; in brackets the difference from the noisy speech.", ""]
    base, rows, undefined = _means(noisy), [], []
    for (name, seed), frame in runs.items():
        bases = (None,) * len(METRICS) if seed is None else base
        cells = [_cell(m, v, b) for m, v, b in zip(METRICS, _means(frame), bases, strict=True)]
        rows.append([_label(name, seed), str(len(frame)), *cells])
    lines += _table(["Speech", "Utterances", *TITLES.values()], rows)
    for metric in METRICS:
        missing = {run: int(frame[metric].isna().sum()) for run, frame in runs.items()}
        undefined += [f"{n} of {_label(*run)} have no {metric}" for run, n in missing.items() if n]
    if undefined:
        lines += ["", f"Left out of the means: {'; '.join(undefined)}."]
    snrs = _snrs(noisy)
    for i, metric in enumerate(METRICS) if snrs else ():
        rows = [
            [_label(*run), *(_cell(metric, _means(_at(frame, snr))[i]) for snr in snrs)] for run, frame in runs.items()
        ]
        lines += ["", f"## {TITLES[metric]} per SNR", "", *_table(["Speech", *(f"{snr:g} dB" for snr in snrs)], rows)]
    return "\n".join(lines) + "\n"


def write_enh_report(out: Path, runs: RunScores, header: Mapping[str, str]) -> str:
    """Write results.csv and RESULTS.md into `out`, under names with a suffix if those there have more runs.

    Returns:
        The suffix, or an empty text.

    Raises:
        TrnetError: If an existing results.csv is damaged.
    """
    suffix, existing = "", out / "results.csv"
    if existing.is_file():
        old, new = _runs_in(existing), {_as_score(name, seed) for name, seed in runs if seed is not None}
        if suffix := suffix_beside(new, old):
            what = lacking(new, old)
            log.info("%s/RESULTS.md also has %s and is kept (to replace it, remove %s)", out, what, existing)
    write_text(out / f"results{suffix}.csv", results_csv(runs))
    write_text(out / f"RESULTS{suffix}.md", render(runs, header))
    return suffix


def _as_score(name: str, seed: int) -> Score:
    return (name, "", seed, "clean", None)


def _runs_in(path: Path) -> set[Score]:
    def seed(text: str) -> int:
        return whole(text) if text else -1  # of the noisy speech

    rows = read_checked_csv(path, dict.fromkeys(COLUMNS, str) | {"seed": seed})
    return {_as_score(name, seed) for name, seed in zip(rows["frontend"], rows["seed"], strict=True) if seed >= 0}
