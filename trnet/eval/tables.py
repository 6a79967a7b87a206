"""The tables of a report, and RESULTS.md made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trnet.eval.csv_files import PathLike, number, read_rows
from trnet.eval.predictions import Predictions, natural_key, noise_key, score, system_key
from trnet.eval.statistics import Statistic, Statistics, explain, explain_tests
from trnet.eval.summary import (
    SYSTEM_NAMES,
    Board,
    Group,
    Summary,
    coefficients,
    make_board,
    summarise,
)

Reference = Mapping[tuple[str, str], tuple[float, float]]
NONE = "-"


def read_reference(path: PathLike) -> dict[tuple[str, str], tuple[float, float]]:
    """Published figures: (system, noise) to (UAR, WAR) in percent.

    The CSV has the columns system,noise,uar,war. Raises TrnetError for a malformed file.
    """

    def parse(values: list[str], _extra: tuple[str, ...]) -> None:
        key, uar_war = (values[0], values[1]), (number("uar", values[2]), number("war", values[3]))
        if not all(0 <= figure <= 100 for figure in uar_war):
            raise ValueError("uar and war must lie in [0, 100]")
        if key in found:
            raise ValueError(f"{' '.join(key)} appears a second time")
        found[key] = uar_war

    found: dict[tuple[str, str], tuple[float, float]] = {}
    _, parsed = read_rows(Path(path), ("system", "noise", "uar", "war"), parse)
    for _ in parsed:
        pass
    return found


@dataclass(frozen=True)
class Table:
    """Cells as text; the first ``text_columns`` are aligned left, the others (numbers) right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1

    def markdown(self) -> str:
        """The table as Markdown."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(" ".join(c.split()).replace("|", "\\|") for c in cells) + " |"

        rule = "|".join("---" if i < self.text_columns else "--:" for i in range(len(self.header)))
        return "\n".join([line(self.header), f"|{rule}|", *map(line, self.rows)])


@dataclass(frozen=True)
class Section:
    """A heading, what the numbers are, and the numbers; ``leads``: before all pictures on a page."""

    title: str
    text: str
    table: Table | None = None
    leads: bool = False


def _cell(summary: Summary | None, digits: int = 2) -> str:
    if summary is None:
        return NONE
    mean, std = summary
    return f"{mean:.{digits}f}" + ("" if std is None else f" +- {std:.{digits}f}")


def _table1(board: Board, runs: Board, reference: Reference) -> Table:
    """The paper's Table 1; ``runs`` says which runs each system has."""
    noises = sorted({"clean", *board.noises, *(noise for _, noise in reference)}, key=noise_key)
    absent = {system for system, _ in reference} - {system for system, _ in board.groups}
    groups: list[Group] = [*board.groups, *((system, NONE) for system in absent)]
    groups.sort(key=lambda group: (system_key(group[0]), group[1]))
    header = ["System", "Front end", "Runs"]
    header += [f"{noise} {metric}" for noise in noises for metric in ("UAR", "WAR")]
    rows = []
    for group in groups:
        system, frontend = group
        cells = [SYSTEM_NAMES.get(system, system), frontend or NONE, runs.runs(group)]
        for noise in noises:
            chosen = board.select(group, lambda row, noise=noise: row.noise == noise)
            published = reference.get((system, noise))
            for i, metric in enumerate(("uar", "war")):
                cell = _cell(summarise(chosen, metric))
                cells.append(f"{cell} ({published[i]:.2f})" if published else cell)
        rows.append(cells)
    return Table(header, rows, 3)


def _per_snr(board: Board, noise: str) -> Table:
    snrs = sorted({r.snr_db for g in board.groups for r in board.rows[g] if r.noise == noise})
    rows = []
    for group in board.groups:
        cells = [board.title(group)]
        for condition in [*((noise, snr) for snr in snrs), ("clean", None)]:
            chosen = board.select(group, lambda r, key=condition: (r.noise, r.snr_db) == key)
            cells.append(_cell(summarise(chosen, "uar")))
        rows.append(cells)
    return Table(["System", *(f"{snr:g} dB" for snr in snrs), "clean"], rows)


def _per_fold(board: Board) -> Table:
    rows = []
    for fold in board.folds:
        cells = [fold]
        for group in board.groups:
            chosen = board.select(group, lambda row, fold=fold: row.fold == fold)
            seeds = {row.seed for row in chosen}
            clean = summarise([row for row in chosen if row.noise == "clean"], "uar")
            noisy = summarise([row for row in chosen if row.noise != "clean"], "uar")
            cell = " / ".join(NONE if s is None else f"{s[0]:.2f}" for s in (clean, noisy))
            if len(seeds) < len(board.seeds):
                cell += f" ({len(seeds)} of {len(board.seeds)} seeds)"
            cells.append(cell if seeds else "missing")
        rows.append(cells)
    return Table(["Fold", *(board.labels[group] for group in board.groups)], rows)


def _coefficient_table(predictions: Predictions, board: Board) -> Table | None:
    rows = []
    for group, conditions in coefficients(predictions).items():
        for noise in sorted({n for n, _ in conditions if n != "clean"}, key=noise_key):
            keys = [*((noise, snr) for snr in board.snrs), ("clean", None)]
            cells = [_cell(conditions.get(key), 3) for key in keys]
            rows.append([board.title(group), noise, *cells])
        if set(conditions) == {("clean", None)}:
            cells = [NONE] * len(board.snrs) + [_cell(conditions["clean", None], 3)]
            rows.append([board.title(group), NONE, *cells])
    header = ["System", "Noise", *(f"{snr:g} dB" for snr in board.snrs), "clean"]
    return Table(header, rows, 2) if rows else None


def _style_table(predictions: Predictions, styles: Mapping[str, str], board: Board) -> Table:
    parts: dict[str, list] = {}
    for row in predictions.rows:
        parts.setdefault(styles.get(row.utt_id, "(no group)"), []).append(row)
    noises = ["clean", *board.noises]
    rows = []
    for style in sorted(parts, key=natural_key):
        pooled = make_board(score(Predictions(predictions.classes, parts[style]), by_fold=False))
        for group in pooled.groups:
            mine = (row for row in parts[style] if (row.system, row.frontend) == group)
            cells = [style, board.title(group), str(len({row.utt_id for row in mine}))]
            for noise in noises:
                chosen = pooled.select(group, lambda row, noise=noise: row.noise == noise)
                cells += [_cell(summarise(chosen, metric)) for metric in ("uar", "war")]
            rows.append(cells)
    header = ["Group", "System", "Utterances"]
    header += [f"{noise} {metric}" for noise in noises for metric in ("UAR", "WAR")]
    return Table(header, rows, 2)


def _interval(row: Statistic | None, sign: bool = False) -> str:
    if row is None:
        return NONE
    value = f"{row.value:+.2f}" if sign else f"{row.value:.2f}"
    if row.low is None or row.high is None:
        return value
    return f"{value} [{row.low:.2f}, {row.high:.2f}]"


def _intervals(statistics: Statistics, board: Board, average: str) -> Table | None:
    noises = ["clean", *board.noises]
    rows = []
    for group in board.groups:
        found = [statistics.find(group, noise, None, average, metric) for noise in noises for metric in ("uar", "war")]
        if any(found):
            speakers = next(str(row.speakers) for row in found if row)
            rows.append([board.labels[group], speakers, *map(_interval, found)])
    header = ["System", "Speakers", *(f"{noise} {metric}" for noise in noises for metric in ("UAR", "WAR"))]
    return Table(header, rows) if rows else None


def _p(value: float | None) -> str:
    return NONE if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _tests(statistics: Statistics, board: Board, average: str) -> Table | None:
    rows = []
    for row in statistics.comparisons(average, "uar"):
        ours, other = (row.system, row.frontend), (row.against, row.frontend)
        rows.append([
            f"{board.labels[ours]} - {board.labels[other]}", row.noise, _interval(row, sign=True),
            *map(_p, (row.p_utts, row.p_utts_holm, row.p_speakers, row.p_speakers_holm)),
        ])  # fmt: skip
    header = ["Difference", "On", "UAR", "p utterances", "Holm", "p speakers", "Holm"]
    return Table(header, rows, 2) if rows else None


def statistics_sections(statistics: Statistics, board: Board) -> list[Section]:
    """Intervals and paired tests, over speakers and pooled, and what could not be computed."""
    pooled = "As above, but UAR and WAR over the utterances of all speakers at once."
    found = [
        Section(
            "95 % intervals: mean over speakers", explain(statistics), _intervals(statistics, board, "speakers"), True
        ),
        Section("95 % intervals, pooled over speakers", pooled, _intervals(statistics, board, "pooled")),
        Section(
            "Paired tests: mean over speakers", explain_tests(statistics), _tests(statistics, board, "speakers"), True
        ),
        Section("Paired tests, pooled over speakers", pooled, _tests(statistics, board, "pooled")),
    ]
    found = [section for section in found if section.table]
    if statistics.refused:
        found.append(Section("Statistics that could not be computed", ". ".join(statistics.refused) + ".", leads=True))
    return found


def make_sections(
    predictions: Predictions,
    board: Board,
    reference: Reference | None = None,
    styles: Mapping[str, str] | None = None,
    statistics: Statistics | None = None,
) -> list[Section]:
    """The numbers of a report, in order.

    Args:
        predictions: Predictions of the systems.
        board: Their scores per fold.
        reference: Published figures, see read_reference.
        styles: Group of each utterance, to be reported apart.
        statistics: Intervals and tests.
    """
    pooled = make_board(score(predictions, by_fold=False))
    published = reference or {}
    beside = " In brackets: the paper's figure." if published else ""
    sections = [
        Section(
            "Table 1: mean over folds",
            "UAR and WAR in percent. A noise set is the average over its SNRs. The test folds are averaged first, then "
            "the seeds; +- is the standard deviation over seeds, given where two or more seeds cover the same runs."
            + beside,
            _table1(board, board, published),
            leads=True,
        ),
        Section(
            "Table 1, pooled over folds",
            "As above, but each seed is scored once over the test items of all its folds, so that a recall is counted "
            f"over all speakers (another number than the mean of folds).{beside}",
            _table1(pooled, board, published),
        ),
    ]
    if statistics is not None:
        sections += statistics_sections(statistics, board)
    for noise in board.noises:
        text = "UAR in percent, mean over folds and then seeds."
        sections.append(Section(f"UAR per SNR: {noise}", text, _per_snr(board, noise)))
    text = "UAR in percent, clean / average over all noisy conditions, mean over the seeds run."
    sections.append(Section("UAR per fold", text, _per_fold(board)))
    if table := _coefficient_table(predictions, board):
        text = "Mean +- standard deviation over the utterances of all folds and seeds."
        sections.append(Section("SNR coefficient c (Fig. 2)", text, table))
    if styles is not None:
        text = "UAR and WAR in percent, pooled over folds, mean +- standard deviation over seeds."
        sections.append(Section("By group of utterances", text, _style_table(predictions, styles, board)))
    return sections


def render_markdown(header: Mapping[str, object], sections: Sequence[Section], figures: Sequence[str] = ()) -> str:
    """RESULTS.md of lines of header, sections and paths of pictures; the same input always gives the same text."""
    blocks = ["# Results", "\n".join(f"- {k}: {' '.join(str(v).split())}" for k, v in header.items())]
    for section in sections:
        blocks += [f"## {section.title}", section.text, section.table.markdown() if section.table else ""]
    if figures:
        pictures = "\n\n".join(f"![{Path(name).stem}]({name})" for name in figures)
        blocks += ["## Figures", pictures]
    return "\n\n".join(block for block in blocks if block) + "\n"
