"""RESULTS.md: the tables of a report as Markdown text."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from trnet.eval.csvfile import PathLike, number, read_rows
from trnet.eval.predictions import Predictions, Result, natural_key, noise_key, score, system_key
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
        if key in found:
            raise ValueError(f"{' '.join(key)} appears a second time")
        found[key] = uar_war

    found: dict[tuple[str, str], tuple[float, float]] = {}
    _, parsed = read_rows(Path(path), ("system", "noise", "uar", "war"), parse)
    for _ in parsed:
        pass
    return found


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(c.split()).replace("|", "\\|") for c in cells) + " |"

    rule = "|" + "|".join("---" if i < text_columns else "--:" for i in range(len(header))) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def _cell(summary: Summary | None, digits: int = 2) -> str:
    if summary is None:
        return NONE
    mean, std = summary
    return f"{mean:.{digits}f}" + ("" if std is None else f" +- {std:.{digits}f}")


def _table1(board: Board, runs: Board, reference: Reference) -> str:
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
    return _table(header, rows, 3)


def _per_snr(board: Board, noise: str) -> str:
    snrs = sorted({r.snr_db for g in board.groups for r in board.rows[g] if r.noise == noise})
    rows = []
    for group in board.groups:
        cells = [board.title(group)]
        for condition in [*((noise, snr) for snr in snrs), ("clean", None)]:
            chosen = board.select(group, lambda r, key=condition: (r.noise, r.snr_db) == key)
            cells.append(_cell(summarise(chosen, "uar")))
        rows.append(cells)
    return _table(["System", *(f"{snr:g} dB" for snr in snrs), "clean"], rows)


def _per_fold(board: Board) -> str:
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
    return _table(["Fold", *(board.labels[group] for group in board.groups)], rows)


def _coefficient_table(predictions: Predictions, board: Board) -> str | None:
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
    return _table(header, rows, 2) if rows else None


def _style_table(predictions: Predictions, styles: Mapping[str, str], board: Board) -> str:
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
    return _table(header, rows, 2)


def render_results(
    predictions: Predictions,
    header: Mapping[str, object],
    reference: Reference | None = None,
    styles: Mapping[str, str] | None = None,
    *,
    results: Sequence[Result] | None = None,
    folds: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
    figures: Sequence[str] = (),
) -> str:
    """The whole of RESULTS.md; the same input always gives the same text.

    ``header`` is printed line by line in its own order (commit, machine, epochs, versions);
    ``reference`` holds published figures (see read_reference); ``styles`` maps an utterance
    to its group; ``results`` are the scores per fold, when already computed; ``folds`` and
    ``seeds`` are those a complete system has, if more than the predictions contain;
    ``figures`` are picture paths relative to RESULTS.md. Raises TrnetError for no rows.
    """
    board = make_board(score(predictions) if results is None else results, folds, seeds)
    pooled = make_board(score(predictions, by_fold=False))
    published = reference or {}
    blocks = [
        "# Results",
        "\n".join(f"- {k}: {' '.join(str(v).split())}" for k, v in header.items()),
    ]

    def section(title: str, text: str, table: str | None) -> None:
        if table:
            blocks.extend([f"## {title}", text, table])

    beside = " In brackets: the paper's figure." if published else ""
    section(
        "Table 1: mean over folds",
        "UAR and WAR in percent. A noise set is the average over its SNRs. The test folds are "
        "averaged first, then the seeds; +- is the standard deviation over seeds, given where "
        f"two or more seeds cover the same runs.{beside}",
        _table1(board, board, published),
    )
    section(
        "Table 1, pooled over folds",
        "As above, but each seed is scored once over the test items of all its folds, so that "
        f"a recall is counted over all speakers (another number than the mean of folds).{beside}",
        _table1(pooled, board, published),
    )
    for noise in board.noises:
        text = "UAR in percent, mean over folds and then seeds."
        section(f"UAR per SNR: {noise}", text, _per_snr(board, noise))
    section(
        "UAR per fold",
        "UAR in percent, clean / average over all noisy conditions, mean over the seeds run.",
        _per_fold(board),
    )
    section(
        "SNR coefficient c (Fig. 2)",
        "Mean +- standard deviation over the utterances of all folds and seeds.",
        _coefficient_table(predictions, board),
    )
    if styles is not None:
        section(
            "By group of utterances",
            "UAR and WAR in percent, pooled over folds, mean +- standard deviation over seeds.",
            _style_table(predictions, styles, board),
        )
    if figures:
        pictures = "\n\n".join(f"![{Path(name).stem}]({name})" for name in figures)
        blocks.extend(["## Figures", pictures])
    return "\n\n".join(block for block in blocks if block) + "\n"
