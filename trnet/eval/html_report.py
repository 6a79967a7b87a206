"""report.html: one file that needs nothing else, from the same numbers as RESULTS.md."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
from sklearn.metrics import confusion_matrix
from tqdm import tqdm

from trnet.eval.predictions import Predictions
from trnet.eval.report_data import Material
from trnet.eval.statistics import Statistics
from trnet.eval.summary import SYSTEM_NAMES, Board, coefficients
from trnet.eval.svg_plots import (
    coefficient_panels,
    colour,
    history_panels,
    map_panel,
    snr_colours,
    uar_panel,
)
from trnet.eval.tables import Section

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Picture:
    """An SVG as a data URI, with what it shows in words."""

    uri: str
    words: str


@dataclass(frozen=True)
class Gallery:
    """Pictures below one heading, with the legend that they share: (name, colour) pairs."""

    anchor: str
    title: str
    text: str
    pictures: Sequence[Picture]
    legend: Sequence[tuple[str, str]] = ()
    size: str = ""  # large: two side by side, small: four


@dataclass(frozen=True)
class Confusion:
    """One confusion matrix: counts (C, C), rows are true classes; shares in percent of the row, None without items."""

    title: str
    classes: Sequence[str]
    counts: list[list[int]]
    shares: list[list[float | None]]


def data_uri(kind: str, content: bytes) -> str:
    """Content of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _picture(svg: str, words: str) -> Picture:
    return Picture(data_uri("image/svg+xml", svg.encode()), words)


def confusions(predictions: Predictions, board: Board) -> list[Confusion]:
    """Matrices of each system over all folds and seeds, clean speech and all noisy conditions."""
    found = []
    classes = list(predictions.classes)
    for group in board.groups:
        mine = [row for row in predictions.rows if (row.system, row.frontend) == group]
        for name, rows in (
            ("clean", [row for row in mine if row.noise == "clean"]),
            ("noisy", [row for row in mine if row.noise != "clean"]),
        ):
            if rows:
                counts = confusion_matrix([r.label for r in rows], [r.pred for r in rows], labels=classes)
                total = counts.sum(axis=1, keepdims=True)
                shares = np.where(total > 0, 100.0 * counts / np.maximum(total, 1), np.nan)
                cells = [[None if np.isnan(x) else float(x) for x in row] for row in shares]
                found.append(Confusion(f"{board.labels[group]}, {name}", classes, counts.tolist(), cells))
    return found


def galleries(predictions: Predictions, board: Board, statistics: Statistics, material: Material) -> list[Gallery]:
    """All pictures of the page; a gallery without pictures is left out."""
    systems = [(board.labels[group], colour(i)) for i, group in enumerate(board.groups)]
    names = {system: board.labels[system, frontend] for system, frontend in board.groups}
    uar = [
        _picture(uar_panel(board, statistics, noise), f"UAR against SNR in noise {noise}")
        for noise in tqdm(board.noises, desc="pictures", unit="noise")
    ]
    cs = coefficient_panels(coefficients(predictions), board)
    c = [_picture(svg, f"{board.labels[group]}: c against SNR") for group, svg in cs.items()]
    maps = []
    emotions = {label: colour(i) for i, label in enumerate(predictions.classes)}
    snrs = snr_colours([snr for one in material.maps for snr in one.snrs])
    for one in material.maps:
        where = f"{names.get(one.system, one.system)}, fold {one.fold}, seed {one.seed}"
        maps.append(_picture(map_panel(one, one.snrs, snrs, named=False), f"{where}: h by SNR"))
        maps.append(_picture(map_panel(one, one.labels, emotions, named=True), f"{where}: h by emotion"))
    legend = [("clean" if snr is None else f"{snr:g} dB", snrs[snr]) for snr in snrs] + list(emotions.items())
    training = []
    by_system: dict[str, list] = {}
    for history in material.histories:
        by_system.setdefault(history.system, []).append(history)
    for system in tqdm(by_system, desc="training curves", unit="system", disable=not by_system):
        name = names.get(system, SYSTEM_NAMES.get(system, system))
        uar_svg, loss_svg = history_panels(by_system[system])
        training += [_picture(uar_svg, f"{name}: validation UAR"), _picture(loss_svg, f"{name}: training loss")]
    few = "" if any(row.low is not None for row in statistics.rows) else " There are no intervals: see below why."
    found = [
        Gallery(
            "snr", "UAR against SNR", f"Mean over folds and seeds with 95 % intervals.{few}", uar, systems, "large"
        ),
        Gallery(
            "c",
            "SNR coefficient c (Fig. 2)",
            "Mean over the utterances of all folds and seeds; shaded: one standard deviation.",
            c,
            [(noise, colour(i)) for i, noise in enumerate(board.noises)],
        ),
        Gallery(
            "h",
            "Representations h (Fig. 3)",
            "t-SNE of h on test items of one fold and seed under all conditions; a cross marks the centre of a group "
            "in the plane. Distances between far groups mean nothing in a t-SNE.",
            maps,
            legend,
            "large",
        ),
        Gallery(
            "training",
            "Training",
            "A line a run; the dot is the chosen epoch, that of the largest validation UAR.",
            training,
            size="small",
        ),
    ]
    return [gallery for gallery in found if gallery.pictures]


def render_page(
    header: Mapping[str, object],
    sections: Sequence[Section],
    predictions: Predictions,
    board: Board,
    statistics: Statistics,
    material: Material,
    suffix: str = "",
) -> str:
    """The whole of report.html; the same input always gives the same text.

    Args:
        header: Lines that say how the results came about.
        sections: The tables, see make_sections.
        predictions: Predictions of the systems.
        board: Their scores.
        statistics: Intervals and tests.
        material: What else is shown; parts that it lacks are left out, and named.
        suffix: Of the names of the files beside it.
    """
    missing = list(material.missing)
    for name, part in (
        ("training curves", material.histories),
        ("representations", material.maps),
        ("noise sets", material.noises),
        ("audio", material.listening),
    ):
        if not part and not any(line.startswith(name[:5]) for line in missing):
            missing.append(f"{name}: none here")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        header=header,
        suffix=suffix,
        sections=sections,
        galleries=galleries(predictions, board, statistics, material),
        confusions=confusions(predictions, board),
        noises=material.noises,
        listening=material.listening,
        missing=missing,
        names={system: board.labels[system, frontend] for system, frontend in board.groups},
        classes=predictions.classes,
        flac=lambda content: data_uri("audio/flac", content),
    )
