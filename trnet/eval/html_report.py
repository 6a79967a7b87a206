"""report.html: one file that needs nothing else, from the same numbers as RESULTS.md."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import pandas as pd

from trnet.eval.findings import Notes
from trnet.eval.plots import (
    Colours,
    Draw,
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
from trnet.eval.summary import Results, in_means
from trnet.eval.tables import ReportSection

TEMPLATE = Path(__file__).with_name("page.html.j2")


Picture = tuple[str, str]  # what it shows, and an SVG as a data URI


def data_uri(kind: str, content: bytes) -> str:
    """Content of a media type as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _pictures(plots: Mapping[str, Draw], width: float, height: float) -> list[Picture]:
    return [(what, data_uri("image/svg+xml", svg(draw, width, height).encode())) for what, draw in plots.items()]


def _training(data: ReportData, names: Mapping[str, str]) -> dict[str, Draw]:
    plots: dict[str, Draw] = {}
    for system in dict.fromkeys(curve.system for curve in data.curves):
        own = history_plots([curve for curve in data.curves if curve.system == system])
        plots |= {f"{names[system]}: {label}": draw for label, draw in own.items()}
    return plots


def _embeddings(data: ReportData, names: Mapping[str, str], snrs: Colours, emotions: Colours) -> dict[str, Draw]:
    plots: dict[str, Draw] = {}
    for one in data.embeddings:
        where = f"{names[one.system]}, fold {one.fold}, seed {one.seed}"
        plots[f"{where}: h by SNR"] = embedding_plot(one, one.snrs, snrs, named=False)
        plots[f"{where}: h by emotion"] = embedding_plot(one, one.labels, emotions, named=True)
    return plots


def render_page(
    header: Mapping[str, object],
    sections: Sequence[ReportSection],
    findings: Sequence[str],
    predictions: pd.DataFrame,
    results: Results,
    statistics: Statistics,
    data: ReportData,
    notes: Notes,
    suffix: str = "",
) -> str:
    """The whole of report.html; the same input always gives the same text; what `data` lacks is named there."""
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
    names = dict(zip(results.rows["system"], results.rows["name"], strict=True))
    matrices = confusions(in_means(predictions, results.test_snrs), results.titles)
    snrs = snr_colours([snr for one in data.embeddings for snr in one.snrs])
    emotions = {label: colour(i) for i, label in enumerate(classes_of(predictions))}
    uar = {f"UAR against SNR in noise {notes.label(n)}": draw for n, draw in uar_plots(results, statistics).items()}
    c = {f"{name}: c against SNR": draw for name, draw in c_plots(predictions, results).items()}
    return template.render(
        header=header,
        findings=findings,
        suffix=suffix,
        sections=sections,
        uar=_pictures(uar, 5.4, 3.6),
        c=_pictures(c, 4.4, 3.1),
        embeddings=_pictures(_embeddings(data, names, snrs, emotions), 4.2, 3.4),
        training=_pictures(_training(data, names), 3.8, 2.5),
        results=results,
        intervals=statistics.rows["low"].notna().any(),
        colour=colour,
        snr_colours=snrs,
        emotion_colours=emotions,
        confusions={
            f"{name}, {part}": matrices[name, part]
            for name in results.names
            for part in ("clean", "noisy")
            if (name, part) in matrices
        },
        shares=shares,
        data=data,
        missing=missing,
        names=names,
        notes=notes,
        flac=lambda content: data_uri("audio/flac", content),
    )
