"""The report of an experiment in one folder: results.csv, statistics.csv, RESULTS.md with figures, report.html."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from trnet.eval.coverage import lacking, scores_in, suffix_beside
from trnet.eval.csv_files import PathLike
from trnet.eval.html_report import render_page
from trnet.eval.plots import draw_figures
from trnet.eval.predictions import Predictions, read_results, score, write_results
from trnet.eval.report_data import Material
from trnet.eval.statistics import compute_statistics, write_statistics
from trnet.eval.summary import make_board
from trnet.eval.tables import Reference, make_sections, read_reference, render_markdown
from trnet.utils.errors import TrnetError
from trnet.utils.files import write_bytes, write_text

PATTERNS = ("confusion_*.png", "c_vs_snr.png", "uar_vs_snr.png")


def place_beside(out: Path, predictions: Predictions) -> str:
    """What the names of a report's files get in a folder: empty, or a suffix beside a table that holds more.

    Which table is there is read from its results.csv; without one there is none. Where the new one goes beside it, that
    is said.
    Raises TrnetError if that file is damaged.
    """
    there = out / "results.csv"
    if not there.is_file():
        return ""
    old, new = scores_in(read_results(there)), scores_in(predictions.rows)
    suffix = suffix_beside(new, old)
    if suffix:
        print(
            f"{out}/RESULTS.md also has {lacking(new, old)}: it stays, and this table is written beside it as "
            f"RESULTS{suffix}.md (to have it replaced, remove {there})"
        )
    return suffix


def write_report(
    out_dir: PathLike,
    predictions: Predictions,
    header: Mapping[str, object],
    reference: PathLike | Reference | None = None,
    styles: Mapping[str, str] | None = None,
    *,
    folds: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
    speakers: Mapping[str, str] | None = None,
    material: Material | None = None,
    resamples: int = 2000,
    permutations: int = 9999,
    seed: int = 0,
    suffix: str = "",
) -> list[Path]:
    """Write results.csv, statistics.csv, RESULTS.md, figures/*.png and report.html below ``out_dir``, each file whole.

    ``header`` lines open RESULTS.md; ``reference`` is the CSV of published figures or what
    read_reference made of it; ``styles`` maps utterances to groups that are reported apart;
    ``folds`` and ``seeds`` are those that a complete system has, so that runs which no system
    has yet are missed too; ``speakers`` maps utterances to test speakers (a fold is taken for
    one without it); ``material`` is what else report.html shows. ``resamples``,
    ``permutations`` and ``seed`` are those of compute_statistics. ``suffix`` is put behind each
    name (see place_beside). Figures of an earlier report that this one lacks are removed.
    Returns the files. Raises TrnetError when there are no predictions or the folder cannot be
    written.
    """
    if not predictions.rows:
        raise TrnetError("no predictions to report: decode at least one system first")
    out, drawn = Path(out_dir), f"figures{suffix}"
    if reference is not None and not isinstance(reference, Mapping):
        reference = read_reference(reference)
    results = score(predictions)
    board = make_board(results, folds, seeds)
    statistics = compute_statistics(predictions, speakers, resamples=resamples, permutations=permutations, seed=seed)
    sections = make_sections(predictions, board, reference, styles, statistics)
    figures = draw_figures(predictions, results, folds, seeds)
    text = render_markdown(header, sections, [f"{drawn}/{name}" for name in figures])
    page = render_page(header, sections, predictions, board, statistics, material or Material(), suffix)
    try:
        write_results(out / f"results{suffix}.csv", results)
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
        raise TrnetError(
            f"{error.filename or out}: cannot be written ({error.strerror}): give another folder"
        ) from error
    tables = [out / f"{name}{suffix}.csv" for name in ("results", "statistics")]
    return [
        *tables,
        *(out / drawn / name for name in figures),
        out / f"report{suffix}.html",
        out / f"RESULTS{suffix}.md",
    ]
