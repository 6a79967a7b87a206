"""report.html: one file that needs nothing else, from the same numbers as RESULTS.md."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd

from trnet.eval.findings import Notes
from trnet.eval.plots import (
    c_plots,
    colour,
    confusions,
    embedding_plot,
    history_plots,
    shares,
    snr_colours,
    svg,
    uar_plots,
)
from trnet.eval.predictions import classes_of
from trnet.eval.report_data import ReportData
from trnet.eval.statistics import Statistics
from trnet.eval.summary import SYSTEM_NAMES, Results
from trnet.eval.tables import Section

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Picture:
    """An SVG as a data URI, and what it shows."""

    uri: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures below one heading, with the legend that they share: (name, colour) pairs."""

    anchor: str
    title: str
    text: str
    pictures: Sequence[Picture]
    legend: Sequence[tuple[str, str]] = ()
    size: str = ""  # large: two side by side, small: four


def data_uri(kind: str, content: bytes) -> str:
    """Content of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _picture(text: str, caption: str) -> Picture:
    return Picture(data_uri("image/svg+xml", text.encode()), caption)


def _embeddings(data: ReportData, names: Mapping[str, str], classes: Iterable[str]) -> Gallery:
    emotions = {label: colour(i) for i, label in enumerate(classes)}
    snrs = snr_colours([snr for one in data.embeddings for snr in one.snrs])
    pictures = []
    for one in data.embeddings:
        where = f"{names.get(one.system, one.system)}, fold {one.fold}, seed {one.seed}"
        by_snr = embedding_plot(one, one.snrs, snrs, named=False)
        by_emotion = embedding_plot(one, one.labels, emotions, named=True)
        pictures.append(_picture(svg(by_snr, 4.2, 3.4), f"{where}: h by SNR"))
        pictures.append(_picture(svg(by_emotion, 4.2, 3.4), f"{where}: h by emotion"))
    legend = [("clean" if snr is None else f"{snr:g} dB", shade) for snr, shade in snrs.items()]
    legend += emotions.items()
    return Gallery(
        "h",
        "Representations h (Fig. 3)",
        "t-SNE of h on test items of one fold and seed under all conditions; a cross marks the centre of a group "
        "in the plane. Distances between far groups mean nothing in a t-SNE.",
        pictures,
        legend,
        "large",
    )


def galleries(
    predictions: pd.DataFrame, results: Results, statistics: Statistics, data: ReportData, notes: Notes
) -> list[Gallery]:
    """All pictures of the page; a gallery without pictures is left out."""
    names = system_names(results)
    few = "" if statistics.rows["low"].notna().any() else " There are no intervals; the reason is given above."
    uar = [
        _picture(svg(draw, 5.4, 3.6), f"UAR against SNR in noise {notes.label(noise)}")
        for noise, draw in uar_plots(results, statistics).items()
    ]
    c = [_picture(svg(draw), f"{name}: c against SNR") for name, draw in c_plots(predictions, results).items()]
    training = []
    for system in dict.fromkeys(curve.system for curve in data.curves):
        name = names.get(system, SYSTEM_NAMES.get(system, system))
        plots = history_plots([curve for curve in data.curves if curve.system == system])
        training += [_picture(svg(draw, 3.8, 2.5), f"{name}: {label}") for label, draw in plots.items()]
    found = [
        Gallery(
            "snr",
            "UAR against SNR",
            f"Mean over folds and seeds with 95 % intervals.{few}",
            uar,
            [(name, colour(i)) for i, name in enumerate(results.names)],
            "large",
        ),
        Gallery(
            "c",
            "SNR coefficient c (Fig. 2)",
            "Mean over the utterances of all folds and seeds; shaded: one standard deviation.",
            c,
            [(notes.label(noise), colour(i)) for i, noise in enumerate(results.noises)],
        ),
        _embeddings(data, names, classes_of(predictions)),
        Gallery(
            "training",
            "Training",
            "A line a run; the dot is the chosen epoch, that of the largest validation UAR.",
            training,
            size="small",
        ),
    ]
    return [gallery for gallery in found if gallery.pictures]


def system_names(results: Results) -> dict[str, str]:
    """How tables call each system."""
    return dict(zip(results.rows["system"], results.rows["name"], strict=True))


def render_page(
    header: Mapping[str, object],
    sections: Sequence[Section],
    findings: Sequence[str],
    predictions: pd.DataFrame,
    results: Results,
    statistics: Statistics,
    data: ReportData,
    notes: Notes,
    suffix: str = "",
) -> str:
    """The whole of report.html; the same input always gives the same text.

    Args:
        header: Lines on how the results were made.
        sections: The tables, see make_sections.
        findings: Sentences, the headline first.
        predictions: Predictions of the systems.
        results: Their scores.
        statistics: Intervals and tests.
        data: What else is shown; parts that it lacks are left out, and named.
        notes: What the noise sets are.
        suffix: Of the names of the files beside it.
    """
    missing = list(data.missing)
    for name, part in (
        ("training curves", data.curves),
        ("representations", data.embeddings),
        ("noise sets", data.noises),
        ("audio", data.examples),
    ):
        if not part and not any(line.startswith(name[:5]) for line in missing):
            missing.append(f"{name}: none here")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    matrices = confusions(predictions)
    return template.render(
        header=header,
        findings=findings,
        suffix=suffix,
        sections=sections,
        galleries=galleries(predictions, results, statistics, data, notes),
        confusions=[
            (f"{name}, {part}", matrices[name, part])
            for name in results.names
            for part in ("clean", "noisy")
            if (name, part) in matrices
        ],
        shares=shares,
        data=data,
        missing=missing,
        names=system_names(results),
        label=notes.label,
        about=notes.noises,
        flac=lambda content: data_uri("audio/flac", content),
    )
