"""Small pictures of a page as SVG: one panel each, whose ink is light on dark pages and dark on light ones."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trnet.eval.plots import MARKERS, Curve
from trnet.eval.report_data import History, Map
from trnet.eval.statistics import Statistic, Statistics
from trnet.eval.summary import Board, Group, Summary, summarise

INK = "#101112"  # stands for the page's text colour
COLOURS = ("#2f7ed8", "#e0692a", "#1a9e77", "#c65ca8", "#b8860b", "#4db3d9", "#8a63d2", "#7f7f7f")
CLEAN = "#22b8cf"
LOOK = {
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


class Panel:
    """One picture: draw on ``axes`` inside the block, then ask for ``svg``."""

    def __init__(self, width: float = 4.4, height: float = 3.1) -> None:
        self.size = (width, height)
        self.svg = ""

    def __enter__(self) -> Panel:
        self._context = matplotlib.rc_context()
        self._context.__enter__()
        style.use("default")
        matplotlib.rcParams.update(LOOK)
        self.figure = Figure(figsize=self.size, layout="constrained")
        self.figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)  # a browser's letters may be wider
        self.axes: Axes = self.figure.add_subplot()
        return self

    def __exit__(self, kind: type | None, *rest: object) -> None:
        try:
            if kind is None:
                text = io.StringIO()
                nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
                self.figure.savefig(text, format="svg", transparent=True, metadata=nothing)
                svg = text.getvalue().replace(INK, "currentColor").replace("'DejaVu Sans', ", "")
                start = svg.index("<svg")
                end = svg.index(">", start) + 1
                self.svg = svg[start:end] + THEME + svg[end:]
        finally:
            self._context.__exit__(kind, *rest)


def _over_snr(axes: Axes, snrs: Sequence[float], ylabel: str) -> None:
    ticks = [*(f"{snr:g}" for snr in snrs), "clean"]
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.4, len(ticks) - 0.6)
    axes.set_xlabel("SNR (dB)")
    axes.set_ylabel(ylabel)


def _on_curve(row: Statistic) -> bool:
    return not row.against and (row.average, row.metric) == ("speakers", "uar") and row.low is not None


def uar_panel(board: Board, statistics: Statistics, noise: str) -> str:
    """UAR against SNR in one noise set, a curve a system, with 95 % intervals where there are any."""
    keys = [*((noise, snr) for snr in board.snrs), ("clean", None)]
    curves = {
        (group, key): summarise(board.select(group, lambda r, key=key: (r.noise, r.snr_db) == key), "uar")
        for group in board.groups
        for key in [*((other, snr) for other in board.noises for snr in board.snrs), ("clean", None)]
    }
    every = [value[0] for value in curves.values() if value]
    every += [end for row in statistics.rows if _on_curve(row) for end in (row.low, row.high)]
    limits = (np.floor(min(every) / 10) * 10, np.ceil(max(every) / 10) * 10)  # the same for all noise sets
    with Panel(5.4, 3.6) as panel:
        for order, group in enumerate(board.groups):
            shift = 0.07 * (order - (len(board.groups) - 1) / 2)
            x, mean, below, above = [], [], [], []
            for i, (name, snr) in enumerate(keys):
                value = curves[group, (name, snr)]
                if value is None:
                    continue
                found = statistics.find(group, name, snr, "speakers", "uar")
                known = found is not None and found.low is not None and found.high is not None
                x.append(i + shift)
                mean.append(value[0])
                below.append(max(0.0, value[0] - found.low) if known else 0.0)
                above.append(max(0.0, found.high - value[0]) if known else 0.0)
            look = {"color": colour(order), "marker": MARKERS[order % len(MARKERS)], "markersize": 4, "lw": 1.4}
            bars = [below, above] if any(below) or any(above) else None
            panel.axes.errorbar(x, mean, yerr=bars, capsize=2, elinewidth=0.8, **look)
        if limits[0] < limits[1]:
            panel.axes.set_ylim(*limits)
        _over_snr(panel.axes, board.snrs, "UAR (%)")
    return panel.svg


def coefficient_panels(values: dict[Group, dict[tuple[str, float | None], Summary]], board: Board) -> dict[Group, str]:
    """c against SNR, a picture a system that has c, a curve a noise set; `values` are those of `coefficients`."""
    pictures = {}
    for group, conditions in values.items():
        curves: list[Curve] = []
        for number, noise in enumerate(board.noises):
            keys = [*((noise, snr) for snr in board.snrs), ("clean", None)]
            if any((noise, snr) in conditions for snr in board.snrs):
                curves.append((noise, number, [conditions.get(key) for key in keys]))
        if not curves:
            continue
        with Panel() as panel:
            for _, number, points in curves:
                x = np.array([i for i, point in enumerate(points) if point])
                mean = np.array([point[0] for point in points if point])
                std = np.array([point[1] or 0.0 for point in points if point])
                panel.axes.fill_between(x, mean - std, mean + std, color=colour(number), alpha=0.2, lw=0)
                panel.axes.plot(x, mean, color=colour(number), marker=MARKERS[number % len(MARKERS)], markersize=4)
            panel.axes.set_ylim(0, 1)
            _over_snr(panel.axes, board.snrs, "c")
        pictures[group] = panel.svg
    return pictures


def history_panels(histories: Sequence[History]) -> tuple[str, str]:
    """Validation UAR and mean loss over the epochs of one system: a thin line a run, a dot at the chosen epoch."""
    pictures = []
    for name, ylabel in (("valid_uar", "validation UAR (%)"), ("loss", "training loss")):
        with Panel(3.8, 2.5) as panel:
            for history in histories:
                values = getattr(history, name)
                epochs = np.arange(1, len(values) + 1)
                panel.axes.plot(epochs, values, color=colour(0), lw=1.2, alpha=0.8)
                best = int(np.argmax(history.valid_uar))
                panel.axes.plot(epochs[best], values[best], "o", color=colour(1), markersize=4)
            panel.axes.set_xlabel("epoch")
            panel.axes.set_ylabel(ylabel)
            panel.axes.xaxis.get_major_locator().set_params(integer=True)
            panel.axes.set_ylim(0, 100 if name == "valid_uar" else None)
        pictures.append(panel.svg)
    return pictures[0], pictures[1]


def snr_colours(snrs: Sequence[float | None]) -> dict[float | None, str]:
    """Colours of SNRs from low (violet) to high (yellow) and clean speech."""
    levels = sorted({snr for snr in snrs if snr is not None})
    ramp = matplotlib.colormaps["plasma"](np.linspace(0.3, 0.85, max(len(levels), 1)))
    colours = {level: matplotlib.colors.to_hex(rgba) for level, rgba in zip(levels, ramp, strict=False)}
    return colours | ({None: CLEAN} if None in snrs else {})


def map_panel(found: Map, of: Sequence[object], colours: Mapping[object, str], named: bool) -> str:
    """Points of a map coloured by `of`, and a cross at the centre of each group, `named` where they lie apart."""
    with Panel(4.2, 3.4) as panel:
        groups = {value: found.points[[other == value for other in of]] for value in colours}
        groups = {value: points for value, points in groups.items() if len(points)}
        for value, points in groups.items():
            panel.axes.scatter(*points.T, s=9, color=colours[value], alpha=0.6, lw=0)
        for value, points in groups.items():
            centre = points.mean(axis=0)
            panel.axes.plot(*centre, "X", color=colours[value], markersize=10, markeredgecolor=INK, mew=0.9)
            if named:
                where = {"xytext": (6, 5), "textcoords": "offset points", "fontsize": 9, "fontweight": "bold"}
                panel.axes.annotate(str(value), centre, **where)
        panel.axes.set_axis_off()
    return panel.svg
