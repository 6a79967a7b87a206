"""Pictures of a report as PNG bytes: the same input always gives the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Sequence

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from trnet.eval.predictions import Predictions, Result, noise_key
from trnet.eval.summary import Board, Group, Summary, coefficients, make_board, summarise

DPI = 120
MARKERS = "os^Dv<>Px*"
Curve = tuple[str, int, list[Summary | None]]  # label, colour and marker number, a point per tick


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _confusion_panel(axes: Axes, counts: np.ndarray, classes: Sequence[str], title: str) -> None:
    """One matrix: colour and percentage are shares of the row (true class), below it the count."""
    totals = counts.sum(axis=1, keepdims=True)
    share = 100.0 * counts / np.maximum(totals, 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    size = 10 if len(classes) <= 5 else 7
    for i in range(len(classes)):
        for j in range(len(classes)):
            text = f"{share[i, j]:.1f}%\n{counts[i, j]}" if totals[i] else "no items"
            colour = "white" if share[i, j] > 55 else "black"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    axes.set_title(title, fontsize=11)


def confusion_png(predictions: Predictions, group: Group, label: str) -> bytes:
    """Confusion matrices of one system over all folds and seeds: clean beside all noisy items."""
    classes = list(predictions.classes)
    mine = [row for row in predictions.rows if (row.system, row.frontend) == group]
    noises = sorted({row.noise for row in mine if row.noise != "clean"}, key=noise_key)
    parts = [("Clean", [row for row in mine if row.noise == "clean"])]
    if noises:
        noisy = [row for row in mine if row.noise != "clean"]
        parts.append((f"Noisy ({', '.join(noises)}; all SNRs)", noisy))
    parts = [part for part in parts if part[1]]
    side = max(4.2, 0.75 * len(classes) + 1.4)
    figure = Figure(figsize=(side * len(parts) + 0.6, side + 0.8), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    for i, (title, rows) in enumerate(parts):
        counts = confusion_matrix([r.label for r in rows], [r.pred for r in rows], labels=classes)
        axes = figure.add_subplot(1, len(parts), i + 1)
        _confusion_panel(axes, counts, classes, f"{title}, {len(rows)} items")
    title = f"{label}\npooled over folds and seeds, each row in % of its true class"
    figure.suptitle(title, fontsize=11)
    return _png(figure)


def _curve_panel(axes: Axes, curves: Sequence[Curve], band: bool) -> None:
    """Curves over the ticks; the deviations as shaded bands or as bars with a slight offset."""
    for order, (label, colour, points) in enumerate(curves):
        shift = 0.0 if band else 0.05 * (order - (len(curves) - 1) / 2)
        at = [i for i, point in enumerate(points) if point is not None]
        known = [point for point in points if point is not None]
        x = np.asarray(at, dtype=float) + shift
        mean = np.asarray([point[0] for point in known])
        std = np.asarray([point[1] or 0.0 for point in known])
        look = {
            "color": f"C{colour % 10}",
            "marker": MARKERS[colour % len(MARKERS)],
            "markersize": 5,
            "label": label,
        }
        if band:
            axes.fill_between(x, mean - std, mean + std, color=look["color"], alpha=0.18, lw=0)
            axes.plot(x, mean, **look)
        else:
            axes.errorbar(x, mean, yerr=std if std.any() else None, capsize=2, lw=1.5, **look)


def _panels(
    titles: Sequence[str],
    panels: Sequence[Sequence[Curve]],
    ticks: Sequence[str],
    ylabel: str,
    title: str,
    *,
    band: bool,
) -> bytes:
    """Panels side by side with one y axis and one legend below them all."""
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    width = max(4.2 * columns, 7.0)
    figure = Figure(figsize=(width, 3.6 * lines + 0.9), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    handles: dict[str, object] = {}
    for i, (axes, name, curves) in enumerate(zip(grid.flat, titles, panels, strict=False)):
        _curve_panel(axes, curves, band)
        axes.set_title(name, fontsize=11)
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.35, len(ticks) - 0.65)
        axes.set_xlabel("SNR (dB)")
        axes.tick_params(labelbottom=True)
        axes.grid(alpha=0.3)
        if i % columns == 0:
            axes.set_ylabel(ylabel)
        found, names = axes.get_legend_handles_labels()
        handles.update(zip(names, found, strict=True))
    figure.suptitle(title, fontsize=12)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=min(len(handles), 3 if columns < 3 else 6),
        fontsize=9,
    )
    return _png(figure)


def coefficient_png(predictions: Predictions, board: Board) -> bytes | None:
    """The paper's Fig. 2: c against SNR, a panel per system, a curve per noise set.

    None where no system has c or nothing is noisy.
    """
    titles, panels = [], []
    snrs = [*board.snrs, None]
    for group, conditions in coefficients(predictions).items():
        noises = [n for n in board.noises if any(noise == n for noise, _ in conditions)]
        curves: list[Curve] = []
        for noise in noises:
            keys = [(noise if snr is not None else "clean", snr) for snr in snrs]
            points = [conditions.get(key) for key in keys]
            curves.append((noise, board.noises.index(noise), points))
        if curves:
            titles.append(board.title(group))
            panels.append(curves)
    if not panels:
        return None
    ticks = [*(f"{snr:g}" for snr in board.snrs), "clean"]
    title = "SNR coefficient c: mean and standard deviation over utterances"
    return _panels(titles, panels, ticks, "c", title, band=True)


def uar_png(board: Board) -> bytes | None:
    """UAR against SNR, a panel per noise set, a curve per system; None if nothing is noisy."""
    panels = []
    for noise in board.noises:
        curves: list[Curve] = []
        for number, group in enumerate(board.groups):
            keys = [*((noise, snr) for snr in board.snrs), ("clean", None)]
            points: list[Summary | None] = []
            for key in keys:
                chosen = board.select(group, lambda r, key=key: (r.noise, r.snr_db) == key)
                points.append(summarise(chosen, "uar"))
            curves.append((board.title(group), number, points))
        panels.append(curves)
    if not panels:
        return None
    ticks = [*(f"{snr:g}" for snr in board.snrs), "clean"]
    bars = any(p and p[1] is not None for curves in panels for *_, points in curves for p in points)
    title = "UAR, mean over folds and seeds" + ("; bars: deviation over seeds" if bars else "")
    return _panels(board.noises, panels, ticks, "UAR (%)", title, band=False)


def draw_figures(
    predictions: Predictions,
    results: Sequence[Result],
    folds: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
) -> dict[str, bytes]:
    """All figures as file name to PNG bytes, in the order in which a report shows them.

    ``uar_vs_snr.png``, ``c_vs_snr.png`` (each where it applies) and one
    ``confusion_SYSTEM.png`` per system. ``results`` are the scores of ``predictions``;
    ``folds`` and ``seeds`` are those that a complete system has.
    """
    board = make_board(results, folds, seeds)
    figures: dict[str, bytes] = {}
    with matplotlib.rc_context(), style.context("default"):
        for name, png in (
            ("uar_vs_snr.png", uar_png(board)),
            ("c_vs_snr.png", coefficient_png(predictions, board)),
        ):
            if png is not None:
                figures[name] = png
        systems = [system for system, _ in board.groups]
        for group in board.groups:
            stem = group[0] if systems.count(group[0]) == 1 else "_".join(group)
            name = f"confusion_{re.sub(r'[^A-Za-z0-9_.-]', '-', stem)}.png"
            figures[name] = confusion_png(predictions, group, board.title(group))
    return figures
