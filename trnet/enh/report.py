"""results.csv and RESULTS.md of trained front-ends: SI-SDR, PESQ and STOI of the test set, over all and per SNR."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from trnet.enh.evaluate import Row
from trnet.enh.metrics import METRICS, Scores, mean_scores
from trnet.eval.coverage import Score, lacking, suffix_beside
from trnet.eval.csv_files import read_csv
from trnet.utils.files import write_text
from trnet.utils.numbers import whole

COLUMNS = ("frontend", "seed", "snr_db", "n_utts", *METRICS)
NOISY = "noisy"
TITLES = {"si_sdr": "SI-SDR (dB)", "pesq": "PESQ (wide-band)", "stoi": "STOI (%)"}
DIGITS = {"si_sdr": 2, "pesq": 3, "stoi": 2}

Runs = Mapping[tuple[str, int | None], list[Row]]
"""Scores by front-end and seed; ``(NOISY, None)`` is the speech as it is."""


def _snrs(rows: Iterable[Row]) -> list[float]:
    return sorted({row.snr_db for row in rows if row.snr_db is not None})


def _at(rows: Iterable[Row], snr_db: float | None) -> Scores:
    """Means at an SNR; None: over all."""
    return mean_scores(row.scores for row in rows if snr_db is None or row.snr_db == snr_db)


def results_csv(runs: Runs) -> str:
    """One line a run over all utterances (an empty snr_db), and one an SNR where it is known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (name, seed), rows in runs.items():
        for snr_db in (None, *_snrs(rows)):
            count = sum(snr_db is None or row.snr_db == snr_db for row in rows)
            where = "" if snr_db is None else f"{snr_db:g}"
            means = [f"{value:.4f}" for value in _at(rows, snr_db)]
            writer.writerow([name, "" if seed is None else seed, where, count, *means])
    return text.getvalue()


def _cell(metric: str, value: float, base: float | None = None) -> str:
    """A score, and how far it is from the noisy speech's."""
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


def render(runs: Runs, header: Mapping[str, str]) -> str:
    """RESULTS.md.

    Args:
        runs: scores of the noisy speech and of every run.
        header: what to say of how they came about.
    """
    noisy = runs[(NOISY, None)]
    lines = ["# Results", "", *(f"- {key}: {value}" for key, value in header.items()), ""]
    lines += ["## Test set", "", "Means over the utterances; in brackets the distance from the noisy speech.", ""]
    base = _at(noisy, None)
    rows = []
    for (name, seed), own in runs.items():
        bases = base if seed is not None else (None,) * len(METRICS)
        cells = [_cell(m, v, b) for m, v, b in zip(METRICS, _at(own, None), bases, strict=True)]
        rows.append([_label(name, seed), str(len(own)), *cells])
    lines += _table(["Speech", "Utterances", *TITLES.values()], rows)
    undefined = [
        f"{sum(math.isnan(row.scores[i]) for row in own)} of {_label(name, seed)} have no {metric}"
        for i, metric in enumerate(METRICS)
        for (name, seed), own in runs.items()
        if any(math.isnan(row.scores[i]) for row in own)
    ]
    if undefined:
        lines += ["", f"Left out of the means: {'; '.join(undefined)}."]
    snrs = _snrs(noisy)
    for i, metric in enumerate(METRICS) if snrs else ():
        rows = [
            [_label(name, seed), *(_cell(metric, _at(own, snr)[i]) for snr in snrs)]
            for (name, seed), own in runs.items()
        ]
        lines += ["", f"## {TITLES[metric]} per SNR", "", *_table(["Speech", *(f"{snr:g} dB" for snr in snrs)], rows)]
    return "\n".join(lines) + "\n"


def write_report(out: Path, runs: Runs, header: Mapping[str, str]) -> str:
    """Write results.csv and RESULTS.md below `out`, each whole; beside a table of more runs under names with a suffix.

    Returns: the suffix, empty where there is none.
    Raises: TrnetError if the results.csv that is there is damaged.
    """
    suffix, there = "", out / "results.csv"
    if there.is_file():
        old, new = _runs_in(there), {_as_score(*run) for run in runs if run[1] is not None}
        if suffix := suffix_beside(new, old):
            print(f"{out}/RESULTS.md also has {lacking(new, old)}: it stays (to have it replaced, remove {there})")
    write_text(out / f"results{suffix}.csv", results_csv(runs))
    write_text(out / f"RESULTS{suffix}.md", render(runs, header))
    return suffix


def _as_score(name: str, seed: int) -> Score:
    return (name, "", seed, "clean", None)


def _runs_in(path: Path) -> set[Score]:
    def seed(text: str) -> int:
        return whole(text) if text else -1  # of the noisy speech

    rows = read_csv(path, dict.fromkeys(COLUMNS, str) | {"seed": seed})
    return {_as_score(name, seed) for name, seed in zip(rows["frontend"], rows["seed"], strict=True) if seed >= 0}
