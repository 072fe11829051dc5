"""Shared parts of the plots: a white figure for light and dark pages, colours, and an axis for accuracies.

Figures are drawn by Agg through Figure objects; pyplot and its global state are never touched.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from PIL import Image

from budgetnet.report.markup import DPI

INK, FAINT, GRID = "#1f2933", "#6b7785", "#e4e8ed"
STEP, TWIN, AIM, BOUND = "#2057c7", "#c2570c", "#15803d", "#7c3aed"
TRAIN, VALIDATION = "#c2570c", "#2057c7"
COLOURS = 192

LEAST_ERROR = 0.005  # percent: where 100 % correct is drawn, half an image of 10,000 wrong

# In the order in which they get a place on the axis.
TICKS = (
    99, 90, 99.9, 99.4, 98, 95, 99.5, 99.2, 99.7, 50, 80, 97, 99.6, 99.3, 99.8, 99.1, 96, 98.5, 99.99, 85, 99.45, 99.35, 98.8, 98.9,
    99.55, 99.25, 98.6, 98.7, 97.5, 20, 70, 99.95, 0,
)  # fmt: skip


def new_figure(width: float, height: float) -> Figure:
    """A white figure, in inches, with a canvas of its own."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    stream = io.BytesIO()
    # Few colours suffice for lines on white, and the page holds dozens of pictures.
    pixels.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(stream, format="png", optimize=True)
    return stream.getvalue()


def style(axes: Axes, title: str = "") -> None:
    """Quiet axes: no box, a light grid behind the data."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8, length=3)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, fontsize=9.5, color=INK, loc="left", fontweight="bold")


def stretched(accuracy: Any) -> Any:
    """Return the position of an accuracy on the axis: the logarithm of its error, so that 90 % and 99.4 % are both readable."""
    return -np.log10(np.maximum(100.0 - np.asarray(accuracy, dtype=float), LEAST_ERROR))


def unstretched(position: Any) -> Any:
    """The inverse of :func:`stretched`."""
    return 100.0 - np.power(10.0, -np.asarray(position, dtype=float))


def accuracy_axis(axes: Axes, which: str, values: Iterable[float], apart: float = 0.055, margin: float = 0.06) -> None:
    """Make ``which`` ('x' or 'y') an axis of accuracies that holds all ``values``, with ticks at least ``apart``."""
    positions = stretched(list(values))
    span = max(float(positions.max() - positions.min()), 0.1)
    low, high = float(positions.min()) - margin * span, float(positions.max()) + margin * span
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("function", functions=(stretched, unstretched))
    limits = (float(unstretched(low)), float(unstretched(high)))
    (axes.set_xlim if which == "x" else axes.set_ylim)(*limits)
    axis.set_major_locator(FixedLocator(chosen_ticks(low, high, apart)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def chosen_ticks(low: float, high: float, apart: float) -> Sequence[float]:
    """The ticks between two positions, the more telling ones first, no two nearer than ``apart`` of the axis."""
    taken: dict[float, float] = {}
    for tick in TICKS:
        position = float(stretched(tick))
        if low <= position <= high and all(abs(position - other) >= apart * (high - low) for other in taken.values()):
            taken[tick] = position
    return sorted(taken)
