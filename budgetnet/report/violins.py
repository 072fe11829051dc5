"""Violin plots of a network's weights, a row for each tensor: what training made of every layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from budgetnet.diagnostics.record import Weights
from budgetnet.report.axes import FAINT, GRID, INK, STEP, TWIN, new_figure, png

ROW, AXES, PANEL = 0.34, 2.75, 4.05  # inches: a row's height; a column's axes, and with the figures at their right
LEAST_SHARE = 0.04  # of the widest range: a tensor whose values spread less would be a line on a common scale
TITLES = ("weights", "biases and normalization")


def weights_plot(weights: Sequence[Weights]) -> bytes | None:
    """A PNG with kernels and matrices on the left, biases and normalization's scales and shifts on the right; None for no tensor."""
    groups = [[one for one in weights if len(one.shape) > 1], [one for one in weights if len(one.shape) == 1]]
    shown = [(title, group) for title, group in zip(TITLES, groups, strict=True) if group]
    if not shown:
        return None
    most = max(len(group) for _, group in shown)
    names = [0.35 + 0.062 * max(len(one.name) for one in group) for _, group in shown]
    width, height = sum(names) + PANEL * len(shown), 0.95 + ROW * most
    figure = new_figure(width, height)
    left = 0.0
    for (title, group), room in zip(shown, names, strict=True):
        tall = ROW * len(group)
        axes = figure.add_axes(((left + room) / width, (height - 0.45 - tall) / height, AXES / width, tall / height))
        _panel(axes, title, group)
        left += room + PANEL
    return png(figure)


def _panel(axes: Axes, title: str, group: Sequence[Weights]) -> None:
    """One column. Where one scale would flatten a tensor to a line, every row has its own, with its ends written beside it."""
    low, high = min(0.0, *(one.minimum for one in group)), max(0.0, *(one.maximum for one in group))
    common = all(one.maximum - one.minimum >= LEAST_SHARE * (high - low) for one in group if one.density)
    for row, one in enumerate(group):
        start, span = (0.0, 1.0) if common else (one.minimum, one.maximum - one.minimum) if one.density else (one.mean - 0.5, 1.0)
        _violin(axes, row, one, start, span, STEP if len(one.shape) > 1 else TWIN)
        said = f"sd {one.sd:.2g}" if common else f"{_figure(one.minimum)} … {_figure(one.maximum)}" if one.density else _figure(one.mean)
        axes.annotate(said, (1.02, row), xycoords=("axes fraction", "data"), fontsize=7, va="center", color=FAINT)
    axes.set_ylim(len(group) - 0.4, -0.6)
    axes.set_yticks(range(len(group)), [one.name for one in group], fontsize=7.5, color=INK)
    margin = 0.06 * ((high - low) or 1.0)
    axes.set_xlim(*((low - margin, high + margin) if common else (-0.06, 1.06)))
    _style(axes)
    if common:
        axes.axvline(0, color=FAINT, lw=0.8, zorder=1)
    else:
        axes.set_xticks([0, 1], ["least", "greatest"])
        title += ", each on its own scale"
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", fontweight="bold", pad=6)


def _figure(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _style(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", colors=FAINT, labelcolor=INK, labelsize=7.5, length=3)
    axes.grid(True, axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _violin(axes: Axes, row: int, one: Weights, start: float, span: float, colour: str) -> None:
    """The density above and below the row's line, the quartiles as a bar, the median as a dot; a single value as a tick."""

    def place(*values: float) -> np.ndarray:
        return (np.asarray(values) - start) / span

    if not one.density:
        axes.plot(place(one.mean), [row], marker="|", ms=10, mew=2, color=colour, zorder=4)
        return
    x = place(*np.linspace(one.minimum, one.maximum, len(one.density)))
    half = 0.42 * np.asarray(one.density)
    axes.fill_between(x, row - half, row + half, color=colour, alpha=0.30, lw=0, zorder=2)
    outline = np.concatenate([row - half, row + half[::-1], [row - half[0]]])
    axes.plot(np.concatenate([x, x[::-1], x[:1]]), outline, color=colour, lw=0.8, zorder=3)
    axes.plot(place(one.lower_quartile, one.upper_quartile), [row, row], color=INK, lw=2.6, solid_capstyle="butt", zorder=4)
    axes.plot(place(one.median), [row], marker="o", ms=3.2, color="white", mec=INK, mew=0.8, zorder=5)
