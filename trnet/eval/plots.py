"""The plots of a report. Each is drawn by one function, as SVG for the page and as PNG for ``figures/``.

The same input always gives the same bytes. The text of an SVG is light on dark pages and dark on light ones.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from trnet.eval.predictions import classes_of
from trnet.eval.report_data import Embedding, TrainingCurve
from trnet.eval.statistics import Statistics
from trnet.eval.summary import Results, Titles, coefficients, in_means, with_names

Draw = Callable[[Axes], None]  # draws one plot
Colours = Mapping[Any, str]  # colour of each value of a group: SNR or class
DPI = 120
MARKERS = "os^Dv<>Px*"
INK = "#101112"  # stands for the page's text colour
COLOURS = ("#2f7ed8", "#e0692a", "#1a9e77", "#c65ca8", "#b8860b", "#4db3d9", "#8a63d2", "#7f7f7f")
CLEAN = "#22b8cf"
LOOK: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "trnet",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
THEME = "<style>svg{color:#1d2329}@media(prefers-color-scheme:dark){svg{color:#d5dbe1}}</style>"


def colour(number: int) -> str:
    """Colour of the curve with this number."""
    return COLOURS[number % len(COLOURS)]


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    with style.context(["default", LOOK]):
        yield Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))


def svg(draw: Draw, width: float = 4.4, height: float = 3.1) -> str:
    """One plot as SVG, size in inches; its text stays text, in the reader's font and colour."""
    with _figure(width, height) as figure:
        draw(figure.add_subplot())
        text = io.StringIO()
        figure.savefig(
            text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    found = text.getvalue().replace(INK, "currentColor").replace("'DejaVu Sans', ", "")
    start = found.index("<svg")
    end = found.index(">", start) + 1
    return found[start:end] + THEME + found[end:]


def png(plots: Mapping[str, Draw], title: str, size: tuple[float, float] = (4.2, 3.6), share: bool = True) -> bytes:
    """Plots side by side as PNG, at most three a line, with their titles and one legend below them all."""
    columns = min(3, len(plots))
    lines = -(-len(plots) // columns)
    with _figure(max(size[0] * columns, 7.0), size[1] * lines + 0.9) as figure:
        grid = figure.subplots(lines, columns, sharey=share, squeeze=False)
        handles: dict[str, Artist] = {}
        for axes, (name, draw) in zip(grid.flat, plots.items(), strict=False):
            draw(axes)
            axes.set_title(name, fontsize=11)
            axes.tick_params(labelleft=True)
            found, names = axes.get_legend_handles_labels()
            handles.update(zip(names, found, strict=True))
        for axes in grid.flat[len(plots) :]:
            axes.set_visible(False)
        figure.suptitle(title, fontsize=11)
        if handles:
            figure.legend(
                list(handles.values()), list(handles), loc="outside lower center", ncols=min(len(handles), 2 * columns)
            )
        FigureCanvasAgg(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _over_snr(axes: Axes, ticks: Sequence[str], ylabel: str) -> None:
    axes.set_xticks(range(len(ticks)), [tick.removesuffix(" dB") for tick in ticks])
    axes.set_xlim(-0.4, len(ticks) - 0.6)
    axes.set_xlabel("SNR (dB)")
    axes.set_ylabel(ylabel)


def uar_plots(results: Results, statistics: Statistics) -> dict[str, Draw]:
    """UAR against SNR, a plot a noise set, a curve a system, with 95 % intervals where there are any."""
    if not results.noises:
        return {}
    ends = statistics.own("speakers", "uar").set_index(["name", "noise", "snr_db"]).sort_index()[["low", "high"]]
    points = {}
    for noise in results.noises:
        mean = results.per_snr(noise)[["mean"]]
        known = ends[ends.index.get_level_values("noise").isin([noise, "clean"])].reset_index()
        known = known[(known["noise"] == "clean") | known["snr_db"].notna()]
        known["snr"] = ["clean" if pd.isna(snr) else f"{snr:g} dB" for snr in known["snr_db"]]
        points[noise] = mean.join(known.set_index(["name", "snr"])[["low", "high"]])
    every = pd.concat(points.values()).to_numpy(dtype=float)
    limits = 10 * np.floor(np.nanmin(every) / 10), 10 * np.ceil(np.nanmax(every) / 10)  # of all noise sets

    def draw(axes: Axes, noise: str) -> None:
        for order, name in enumerate(results.names):
            if name not in points[noise].index.unique("name"):  # from elsewhere, and not of this noise set
                continue
            mine = points[noise].loc[name].reindex(results.snr_columns)
            x = np.arange(len(mine)) + 0.07 * (order - (len(results.names) - 1) / 2)
            bars = [
                (mine["mean"] - mine["low"]).clip(lower=0).fillna(0),
                (mine["high"] - mine["mean"]).clip(lower=0).fillna(0),
            ]
            axes.errorbar(
                x,
                mine["mean"],
                yerr=bars if mine["low"].notna().any() else None,
                label=results.title(name),
                color=colour(order),
                marker=MARKERS[order % len(MARKERS)],
                markersize=4,
                linewidth=1.4,
                elinewidth=0.8,
                capsize=2,
            )
        if limits[0] < limits[1]:
            axes.set_ylim(*limits)
        _over_snr(axes, results.snr_columns, "UAR (%)")

    return {noise: partial(draw, noise=noise) for noise in results.noises}


def c_plots(predictions: pd.DataFrame, results: Results) -> dict[str, Draw]:
    """The paper's Fig. 2: c against SNR, a plot a system that has c, a curve a noise set, one deviation shaded."""
    summary = coefficients(predictions)

    def draw(axes: Axes, name: str) -> None:
        for number, noise in enumerate(results.noises):
            mine = summary.loc[name].droplevel("noise")
            mine = mine.set_axis(mine.index.str.removeprefix(f"{noise} "), axis=0).reindex(results.snr_columns)
            if mine["mean"].drop("clean").isna().all():
                continue
            x, std = np.arange(len(mine)), mine["std"].fillna(0)
            axes.fill_between(x, mine["mean"] - std, mine["mean"] + std, color=colour(number), alpha=0.2, linewidth=0)
            marker = MARKERS[number % len(MARKERS)]
            axes.plot(x, mine["mean"], label=noise, color=colour(number), marker=marker, markersize=4)
        axes.set_ylim(0, 1)
        _over_snr(axes, results.snr_columns, "c")

    names = [
        name for name in summary.index.unique("name") if (summary.loc[name].index.unique("noise") != "clean").any()
    ]
    return {name: partial(draw, name=name) for name in names}


def history_plots(curves: Sequence[TrainingCurve]) -> dict[str, Draw]:
    """Validation UAR and mean loss over the epochs of one system: a thin line a run, a dot at the chosen epoch."""

    def draw(axes: Axes, name: str, ylabel: str) -> None:
        for curve in curves:
            values = np.asarray(getattr(curve, name))
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, color=colour(0), linewidth=1.2, alpha=0.8)
            best = int(np.argmax(curve.valid_uar))
            axes.plot(epochs[best], values[best], "o", color=colour(1), markersize=4)
        axes.set_xlabel("epoch")
        axes.set_ylabel(ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(0, 100 if name == "valid_uar" else None)

    labels = {"valid_uar": "validation UAR (%)", "loss": "training loss"}
    return {label: partial(draw, name=name, ylabel=label) for name, label in labels.items()}


def layer_plot(summary: pd.DataFrame) -> Draw:
    """UAR of linear probes against the hidden state that they read, a curve a condition, bars of one standard error.

    summary: Columns layer, condition, mean, error (NaN: unknown), in the order in which they are drawn. A layer that
    is no number, such as ``middle``, stands apart.
    """

    def draw(axes: Axes) -> None:
        layers = list(summary["layer"].unique())
        for number, (condition, rows) in enumerate(summary.groupby("condition", sort=False)):
            look: dict[str, Any] = {"color": colour(number), "marker": MARKERS[number % len(MARKERS)], "markersize": 4}
            states = rows["layer"].str.isdecimal()
            for some, line in ((rows[states], "-"), (rows[~states], "none")):
                axes.errorbar(
                    [layers.index(layer) + 0.04 * number for layer in some["layer"]],
                    some["mean"],
                    yerr=some["error"].fillna(0) if some["error"].notna().any() else None,
                    label=str(condition) if line == "-" else None,
                    linestyle=line,
                    linewidth=1.4,
                    elinewidth=0.8,
                    capsize=2,
                    **look,
                )
        axes.set_xticks(range(len(layers)), layers)
        axes.set_xlabel("hidden state")
        axes.set_ylabel("validation UAR (%)")

    return draw


def snr_colours(snrs: Sequence[float | None]) -> dict[float | None, str]:
    """Colours of SNRs from low (violet) to high (yellow) and clean speech."""
    levels = sorted({snr for snr in snrs if snr is not None})
    ramp = matplotlib.colormaps["plasma"](np.linspace(0.3, 0.85, max(len(levels), 1)))
    colours = {level: matplotlib.colors.to_hex(rgba) for level, rgba in zip(levels, ramp, strict=False)}
    return colours | ({None: CLEAN} if None in snrs else {})


def embedding_plot(found: Embedding, by: Sequence[object], colours: Colours, named: bool) -> Draw:
    """Points coloured by `by`, and a cross at the centre of each group, `named` where they lie apart."""

    def draw(axes: Axes) -> None:
        groups = {value: found.points[[other == value for other in by]] for value in colours}
        groups = {value: points for value, points in groups.items() if len(points)}
        for value, points in groups.items():
            axes.scatter(points[:, 0], points[:, 1], s=9, color=colours[value], alpha=0.6, linewidth=0)
        for value, points in groups.items():
            x, y = points.mean(axis=0)
            axes.plot(x, y, "X", color=colours[value], markersize=10, markeredgecolor=INK, markeredgewidth=0.9)
            if named:
                axes.annotate(str(value), (x, y), (6, 5), textcoords="offset points", fontsize=9, fontweight="bold")
        axes.set_axis_off()

    return draw


def confusions(predictions: pd.DataFrame, titles: Titles | None = None) -> dict[tuple[str, str], pd.DataFrame]:
    """Counts (rows: true classes, columns: predicted) by name and ``clean`` or ``noisy``, over all folds and seeds."""
    classes = classes_of(predictions)
    rows = with_names(predictions, titles)
    part = rows["noise"].where(rows["noise"] == "clean", "noisy")
    return {
        (str(name), str(which)): pd.crosstab(items["label"], items["pred"]).reindex(
            index=classes, columns=classes, fill_value=0
        )
        for (name, which), items in rows.groupby(["name", part.rename("part")])
    }


def shares(counts: pd.DataFrame) -> pd.DataFrame:
    """Percent of each row (true class); NaN where the row has no items."""
    return 100 * counts.div(counts.sum(axis=1).replace(0, np.nan), axis=0)


def confusion_plot(counts: pd.DataFrame) -> Draw:
    """One matrix: colour and percentage are shares of the row (true class), below it the count."""

    def draw(axes: Axes) -> None:
        share, numbers = shares(counts).to_numpy(), counts.to_numpy()
        axes.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=100)
        axes.grid(False)
        for i, j in np.ndindex(*share.shape):
            text = "no items" if np.isnan(share[i, j]) else f"{share[i, j]:.1f}%\n{numbers[i, j]}"
            ink = "white" if share[i, j] > 55 else "black"
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=10 if len(counts) <= 5 else 7)
        axes.set_xticks(range(len(counts)), counts.columns)
        axes.set_yticks(range(len(counts)), counts.index)
        axes.set_xlabel("Predicted class")
        axes.set_ylabel("True class")

    return draw


def draw_figures(predictions: pd.DataFrame, results: Results, statistics: Statistics) -> dict[str, bytes]:
    """All figures as file name to PNG bytes, in the order in which a report shows them.

    ``uar_vs_snr.png``, ``c_vs_snr.png`` (each where it applies) and one ``confusion_SYSTEM.png`` per system.
    """
    figures: dict[str, bytes] = {}
    if uar := uar_plots(results, statistics):
        figures["uar_vs_snr.png"] = png(uar, "UAR: mean over folds and seeds; bars: 95 % intervals where there are any")
    if c := c_plots(predictions, results):
        titled = {results.title(name): draw for name, draw in c.items()}
        figures["c_vs_snr.png"] = png(titled, "SNR coefficient c: mean and standard deviation over utterances")
    matrices = confusions(in_means(predictions, results.test_snrs), results.titles)
    systems = results.rows.drop_duplicates("name")[["name", "system", "frontend"]].values.tolist()
    for name, system, frontend in systems:
        stem = system if [other for _, other, _ in systems].count(system) == 1 else f"{system}_{frontend}"
        panels = {
            f"{which}, {counts.to_numpy().sum()} items": confusion_plot(counts)
            for (other, which), counts in matrices.items()
            if other == name
        }
        side = max(4.2, 0.75 * len(classes_of(predictions)) + 1.4)
        title = f"{results.title(name)}\npooled over folds and seeds, each row in % of its true class"
        file = f"confusion_{re.sub(r'[^A-Za-z0-9_.-]', '-', stem)}.png"
        figures[file] = png(panels, title, (side, side), share=False)
    return figures
