"""The tables of a report, and RESULTS.md made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from trnet.eval.csv_files import PathLike, check_rows, percent, read_checked_csv
from trnet.eval.intervals import METRICS
from trnet.eval.predictions import natural_key, noise_key, score, system_key
from trnet.eval.statistics import Statistics, explain, explain_tests
from trnet.eval.summary import Results, arrange, coefficients, summarise, system_title, with_names

Reference = Mapping[tuple[str, str], tuple[float, float]]  # published figures: (system, noise) to (UAR, WAR) in percent
Cell = tuple[str, float]  # text of a number, and its value (NaN: none)
NONE: Cell = ("-", float("nan"))
ONCE = ("Front end", "Runs")  # columns that are left out where they are constant


def read_reference(path: PathLike) -> dict[tuple[str, str], tuple[float, float]]:
    """Published figures from a CSV file with the columns system,noise,uar,war; TrnetError for a malformed one."""
    rows = read_checked_csv(path, {"system": str, "noise": str, "uar": percent, "war": percent})
    again = rows.duplicated(["system", "noise"])
    check_rows(path, rows, [(again, lambda row: f"{row['system']} {row['noise']} appears a second time")])
    return {(system, noise): (uar, war) for system, noise, uar, war in rows.values.tolist()}


@dataclass(frozen=True)
class Table:
    """Cells as text; the first ``text_columns`` are aligned left, the others (numbers) right.

    best: (row, column) of the largest number of each column. once: what was the same in all rows, as sentences.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    best: frozenset[tuple[int, int]] = frozenset()
    once: str = ""

    def markdown(self) -> str:
        """The table as Markdown, the best of each column bold."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(" ".join(c.split()).replace("|", "\\|") for c in cells) + " |"

        rule = "|".join("---" if i < self.text_columns else "--:" for i in range(len(self.header)))
        rows = [
            [f"**{cell}**" if (i, j) in self.best else cell for j, cell in enumerate(row)]
            for i, row in enumerate(self.rows)
        ]
        return "\n".join([line(self.header), f"|{rule}|", *map(line, rows)])


def make_table(header: Sequence[str], rows: Sequence[Sequence[str | Cell]], ranked: bool = False) -> Table:
    """Without the columns that say nothing: those of ONCE that are constant, and WAR where it equals UAR.

    `ranked`: the largest number of each column is marked.
    """
    columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    once = []
    for name in ONCE:
        if name in columns and len(set(columns[name])) == 1:
            once.append(f"{name}: {columns.pop(name)[0]}.")
    wars = {name: name.removesuffix("WAR") + "UAR" for name in columns if name.endswith("WAR")}
    if wars and all(_texts(columns[war]) == _texts(columns[uar]) for war, uar in wars.items()):
        columns = {name: cells for name, cells in columns.items() if name not in wars}
        once.append("WAR equals UAR in every cell.")
    best = set()
    for j, cells in enumerate(columns.values()):
        values = [round(cell[1], 2) for cell in cells if not isinstance(cell, str) and cell[1] == cell[1]]
        if ranked and len(set(values)) > 1:
            best |= {(i, j) for i, cell in enumerate(cells) if round(float(cell[1]), 2) == max(values)}
    texts = sum(isinstance(cells[0], str) for cells in columns.values())
    body = tuple(zip(*map(_texts, columns.values()), strict=True))
    return Table(tuple(columns), body, texts, frozenset(best), " ".join(once))


def _texts(cells: Sequence[str | Cell]) -> tuple[str, ...]:
    return tuple(cell if isinstance(cell, str) else cell[0] for cell in cells)


@dataclass(frozen=True)
class ReportSection:
    """A heading, what the numbers are, and the numbers; ``leads``: before all pictures on a page."""

    title: str
    text: str
    table: Table | None = None
    leads: bool = False

    @property
    def words(self) -> str:
        """The text, and what the table has only once."""
        return " ".join(part for part in (self.text, self.table.once if self.table else "") if part)


def _cell(summary: pd.DataFrame, key: tuple[str, ...], digits: int = 2) -> Cell:
    """The cell of a row of a summary: mean +- standard deviation."""
    if key not in summary.index:
        return NONE
    mean, std = np.asarray(summary[["mean", "std"]].loc[[key]], dtype=float)[0]
    return f"{mean:.{digits}f}" + ("" if np.isnan(std) else f" +- {std:.{digits}f}"), float(mean)


def _uar_war(noises: Sequence[str]) -> list[str]:
    return [f"{noise} {metric.upper()}" for noise in noises for metric in METRICS]


def _left_out(results: Results) -> str:
    snrs = ", ".join(f"{snr:g}" for snr in sorted(results.test_snrs))
    return f" without {snrs} dB, only tested" if snrs else ""


def _table1(results: Results, runs: Results, reference: Reference) -> Table:
    """The paper's Table 1; ``runs`` says which runs each system has."""
    noises = sorted({"clean", *results.noises, *(noise for _, noise in reference)}, key=noise_key)
    systems = results.rows.drop_duplicates("name")[["system", "frontend", "name"]].values.tolist()
    absent = {system for system, _ in reference} - {system for system, *_ in systems}
    systems += [[system, "-", system_title(system)] for system in absent]
    summary = {metric: summarise(results.averaged, ["name", "noise"], metric) for metric in METRICS}
    rows = []
    for system, frontend, name in sorted(systems, key=lambda one: (system_key(one[0]), one[1])):
        row: list[str | Cell] = [system_title(system, results.titles), frontend or "-", runs.runs(name)]
        for noise in noises:
            published = reference.get((system, noise))
            for i, metric in enumerate(METRICS):
                text, value = _cell(summary[metric], (name, noise))
                row.append((f"{text} ({published[i]:.2f})" if published else text, value))
        rows.append(row)
    return make_table(["System", "Front end", "Runs", *_uar_war(noises)], rows, ranked=True)


def _per_snr(results: Results, noise: str) -> Table:
    summary = results.per_snr(noise)
    columns = [snr for snr in results.snr_columns if snr in summary.index.unique("snr")]
    rows: list[list[str | Cell]] = []
    for name in results.names:
        rows.append([results.title(name), *(_cell(summary, (name, snr)) for snr in columns)])
    return make_table(["System", *columns], rows, ranked=True)


def _per_fold(results: Results) -> Table:
    rows = results.averaged
    rows = rows.assign(part=rows["noise"].where(rows["noise"] == "clean", "noisy"))
    mean = summarise(rows, ["name", "fold", "part"], "uar")["mean"]
    seeds = rows.groupby(["name", "fold"])["seed"].nunique()
    lines = []
    for fold in results.folds:
        line: list[str | Cell] = [fold]
        for name in results.names:
            parts = [mean.get((name, fold, part)) for part in ("clean", "noisy")]
            parts[1] = None if results.lacks_noises(name) else parts[1]
            text = " / ".join("-" if value is None else f"{value:.2f}" for value in parts)
            trained = seeds.get((name, fold), 0)
            if 0 < trained < len(results.seeds) and name not in results.peers:
                text += f" ({trained} of {len(results.seeds)} seeds)"
            line.append((text if trained else "missing", float("nan")))
        lines.append(line)
    return make_table(["Fold", *results.names], lines)


def _coefficient_table(predictions: pd.DataFrame, results: Results) -> Table | None:
    summary = coefficients(predictions)
    rows: list[list[str | Cell]] = []
    for name in summary.index.unique("name"):
        noises = sorted(summary.loc[name].index.unique("noise"), key=noise_key)
        for noise in [noise for noise in noises if noise != "clean"] or ["-"]:
            keys = [*((noise, f"{noise} {snr:g} dB") for snr in results.snrs), ("clean", "clean")]
            rows.append([results.title(name), noise, *(_cell(summary, (name, *key), 3) for key in keys)])
    return make_table(["System", "Noise", *results.snr_columns], rows) if rows else None


def _style_table(predictions: pd.DataFrame, styles: Mapping[str, str], results: Results) -> Table:
    style = predictions["utt_id"].map(styles).fillna("(no group)")
    noises = ["clean", *results.noises]
    rows: list[list[str | Cell]] = []
    for group in sorted(style.unique(), key=natural_key):
        mine = predictions[style == group]
        pooled = arrange(score(mine, by_fold=False), test_snrs=results.test_snrs, titles=results.titles)
        summary = {metric: summarise(pooled.averaged, ["name", "noise"], metric) for metric in METRICS}
        items = with_names(mine, results.titles).groupby("name")["utt_id"].nunique()
        for name in pooled.names:
            cells = [_cell(summary[metric], (name, noise)) for noise in noises for metric in METRICS]
            rows.append([group, results.title(name), (str(items[name]), float("nan")), *cells])
    return make_table(["Group", "System", "Utterances", *_uar_war(noises)], rows)


def _interval(value: float, low: float, high: float, sign: str = "") -> Cell:
    text = f"{value:{sign}.2f}"
    return text if pd.isna(low) else f"{text} [{low:.2f}, {high:.2f}]", value


def _intervals(statistics: Statistics, results: Results, average: str) -> Table:
    noises = ["clean", *results.noises]
    own = pd.concat([statistics.own(average, metric) for metric in METRICS])
    own = own[own["snr_db"].isna()].set_index(["name", "noise", "metric"])
    several = own["speakers"].nunique() > 1  # else the text says how many
    rows: list[list[str | Cell]] = []
    for name in own.index.unique("name"):
        keys = [(name, noise, metric) for noise in noises for metric in METRICS]
        cells = [_interval(*own.loc[key, ["value", "low", "high"]]) if key in own.index else NONE for key in keys]
        rows.append([name, *([str(own.loc[[name], "speakers"].iloc[0])] if several else []), *cells])
    return make_table(["System", *(["Speakers"] if several else []), *_uar_war(noises)], rows, ranked=True)


def _p(value: float) -> Cell:
    return NONE if pd.isna(value) else ("< 0.001" if value < 0.001 else f"{value:.3f}", value)


def _tests(statistics: Statistics, average: str) -> Table:
    rows = [
        [f"{row['name']} - {row['rival']}", row["noise"], _interval(row["value"], row["low"], row["high"], "+")]
        + [_p(row[name]) for name in ("p_utts", "p_utts_holm", "p_speakers", "p_speakers_holm")]
        for row in statistics.comparisons(average, "uar").to_dict("records")
    ]
    return make_table(["Difference", "On", "UAR", "p utterances", "Holm", "p speakers", "Holm (speakers)"], rows)


def _with_pooled(mean: ReportSection, pooled: ReportSection) -> list[ReportSection]:
    """Two sections, or one that says that the pooled numbers are the same."""
    assert mean.table is not None and pooled.table is not None
    if not mean.table.rows:
        return []
    if mean.table.rows == pooled.table.rows:
        return [replace(mean, text=f"{mean.text} Pooled, all figures are the same.")]
    return [mean, pooled]


def statistics_sections(statistics: Statistics, results: Results) -> list[ReportSection]:
    """Intervals and paired tests, over speakers and pooled, and what could not be computed."""
    text = "As above, but UAR and WAR over the utterances of all speakers at once."
    intervals, tests, own = "95 % intervals", "Paired tests", _intervals(statistics, results, "speakers")
    found = _with_pooled(
        ReportSection(f"{intervals}: mean over speakers", explain(statistics), own, True),
        ReportSection(f"{intervals}, pooled over speakers", text, _intervals(statistics, results, "pooled")),
    )
    found += _with_pooled(
        ReportSection(f"{tests}: mean over speakers", explain_tests(statistics), _tests(statistics, "speakers"), True),
        ReportSection(f"{tests}, pooled over speakers", text, _tests(statistics, "pooled")),
    )
    if statistics.refused:
        refused = ". ".join(statistics.refused) + "."
        found.append(ReportSection("Statistics that could not be computed", refused, leads=True))
    return found


def make_sections(
    predictions: pd.DataFrame,
    results: Results,
    reference: Reference | None = None,
    styles: Mapping[str, str] | None = None,
    statistics: Statistics | None = None,
) -> list[ReportSection]:
    """The numbers of a report, Table 1 first.

    Args:
        predictions: Predictions of the systems.
        results: Their scores per fold.
        reference: Published figures, see read_reference.
        styles: Group of each utterance, to be reported apart.
        statistics: Intervals and tests.
    """
    pooled = arrange(score(predictions, by_fold=False), test_snrs=results.test_snrs, titles=results.titles)
    published = reference or {}
    beside = " In brackets: the paper's figure." if published else ""
    sections = _with_pooled(
        ReportSection(
            "Table 1: mean over folds",
            f"UAR and WAR in percent. A noise set is the average over its SNRs{_left_out(results)}. The test folds are "
            "averaged first, then the seeds; +- is the standard deviation over seeds, given where two or more seeds "
            "cover the same runs. "
            f"Bold: the largest of a column.{beside}",
            _table1(results, results, published),
            leads=True,
        ),
        ReportSection(
            "Table 1, pooled over folds",
            "As above, but each seed is scored once over the test items of all its folds, so that a recall is counted "
            f"over all speakers (another number than the mean of folds).{beside}",
            _table1(pooled, results, published),
        ),
    )
    if statistics is not None:
        sections += statistics_sections(statistics, results)
    for noise in results.noises:
        text = "UAR in percent, mean over folds and then seeds."
        sections.append(ReportSection(f"UAR per SNR: {noise}", text, _per_snr(results, noise)))
    text = "UAR in percent, clean / average over all noisy conditions"
    text += f"{_left_out(results)}, mean over the seeds run."
    sections.append(ReportSection("UAR per fold", text, _per_fold(results)))
    if table := _coefficient_table(predictions, results):
        text = "Mean +- standard deviation over the utterances of all folds and seeds."
        sections.append(ReportSection("SNR coefficient c per SNR", text, table))
    if styles is not None:
        text = "UAR and WAR in percent, pooled over folds, mean +- standard deviation over seeds."
        sections.append(ReportSection("By group of utterances", text, _style_table(predictions, styles, results)))
    return sections


def render_markdown(
    header: Mapping[str, object],
    sections: Sequence[ReportSection],
    findings: Sequence[str] = (),
    figures: Sequence[str] = (),
) -> str:
    """RESULTS.md: the first table, what is found, how it came about, the other tables, the paths of pictures."""

    def blocks(some: Sequence[ReportSection]) -> list[str]:
        parts = [(f"## {one.title}", one.words, one.table.markdown() if one.table else "") for one in some]
        return [part for section in parts for part in section if part]

    def items(texts: Sequence[str]) -> str:
        return "\n".join(f"- {' '.join(text.split())}" for text in texts)

    text = ["# Results", *blocks(sections[:1])]
    text += ["## Findings", items(findings)] if findings else []
    text += ["## How these results were made", items([f"{k}: {v}" for k, v in header.items()])] if header else []
    text += blocks(sections[1:])
    text += ["## Figures", *(f"![{Path(name).stem}]({name})" for name in figures)] if figures else []
    return "\n\n".join(text) + "\n"
