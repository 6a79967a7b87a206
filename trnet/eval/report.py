"""The report of an experiment in one folder: results.csv, statistics.csv, RESULTS.md with figures, report.html."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from trnet.eval.coverage import lacking, scores_in, suffix_beside
from trnet.eval.csv_files import PathLike
from trnet.eval.findings import make_findings, parse_notes
from trnet.eval.html_report import render_page
from trnet.eval.plots import draw_figures
from trnet.eval.predictions import is_peer, read_results, score, write_results
from trnet.eval.report_data import ReportData
from trnet.eval.statistics import compute_statistics, write_statistics
from trnet.eval.summary import Titles, arrange
from trnet.eval.tables import Reference, make_sections, read_reference, render_markdown
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_bytes, write_text

PATTERNS = ("confusion_*.png", "c_vs_snr.png", "uar_vs_snr.png")


def place_beside(out: Path, predictions: pd.DataFrame) -> str:
    """What the names of a report's files get in a folder: empty, or (logged) a suffix beside a table that has more.

    The table that is there is that of results.csv; without this file there is none. Systems from elsewhere do not
    count: they are taken in and out as the folder of them says.

    Raises:
        TrnetError: If that file is damaged.
    """
    there = out / "results.csv"
    if not there.is_file():
        return ""
    old, new = (
        scores_in(rows[~rows["system"].map(is_peer).astype(bool)]) for rows in (read_results(there), predictions)
    )
    suffix = suffix_beside(new, old)
    if suffix:
        logging.getLogger(__name__).info(
            "%s/RESULTS.md also has %s: it stays, and this table is written beside it as RESULTS%s.md (to have it "
            "replaced, remove %s)",
            out,
            lacking(new, old),
            suffix,
            there,
        )
    return suffix


def write_report(
    out_dir: PathLike,
    predictions: pd.DataFrame,
    header: Mapping[str, object],
    reference: PathLike | Reference | None = None,
    styles: Mapping[str, str] | None = None,
    *,
    notes: str = "",
    folds: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
    speakers: Mapping[str, str] | None = None,
    data: ReportData | None = None,
    resamples: int = 2000,
    permutations: int = 9999,
    seed: int = 0,
    suffix: str = "",
    test_snrs: Collection[float] = (),
    titles: Titles | None = None,
) -> list[Path]:
    """Write results.csv, statistics.csv, RESULTS.md, figures/*.png and report.html, each file whole; returns the files.

    Args:
        out_dir: Folder of them all. Figures of an earlier report that this one lacks are removed.
        header: Lines on how the results were made.
        reference: CSV of published figures, or what read_reference made of it.
        styles: Group of each utterance, to be reported apart.
        notes: Text of a recipe's notes, see parse_notes.
        folds: Folds of a complete system, because no system may have some of them yet; so are `seeds`.
        speakers: Test speaker of each utterance; without it a fold is taken for one.
        suffix: Behind each name, see place_beside.
        test_snrs: SNRs in dB that are only tested: each has its own figures, and no part in means over SNRs.
        titles: How systems from elsewhere are called.

    Raises:
        TrnetError: If there are no predictions, or the folder cannot be written.
    """
    if predictions.empty:
        raise TrnetError("no predictions to report: decode at least one system first")
    out, drawn = Path(out_dir), f"figures{suffix}"
    if reference is not None and not isinstance(reference, Mapping):
        reference = read_reference(reference)
    scored, noted = score(predictions), parse_notes(notes)
    results = arrange(scored, folds, seeds, test_snrs, titles)
    statistics = compute_statistics(
        predictions,
        speakers,
        resamples=resamples,
        permutations=permutations,
        seed=seed,
        test_snrs=test_snrs,
        titles=titles,
    )
    sections = make_sections(predictions, results, reference, styles, statistics)
    findings = make_findings(predictions, results, statistics, noted)
    figures = draw_figures(predictions, results, statistics)
    text = render_markdown(header, sections, findings, [f"{drawn}/{name}" for name in figures])
    shown = data or ReportData()
    page = render_page(header, sections, findings, predictions, results, statistics, shown, noted, suffix)
    try:
        write_results(out / f"results{suffix}.csv", scored)
        write_statistics(out / f"statistics{suffix}.csv", statistics)
        for name, png in figures.items():
            write_bytes(out / drawn / name, png)
        for pattern in PATTERNS:
            for path in (out / drawn).glob(pattern):
                if path.name not in figures:
                    path.unlink()
        write_text(out / f"report{suffix}.html", page)
        write_text(out / f"RESULTS{suffix}.md", text)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        where = error.filename or out
        raise TrnetError(f"{where}: cannot be written ({error.strerror}): give another folder") from error
    names = [f"results{suffix}.csv", f"statistics{suffix}.csv", *(f"{drawn}/{name}" for name in figures)]
    return [out / name for name in (*names, f"report{suffix}.html", f"RESULTS{suffix}.md")]
