"""Parameters against accuracy, over all experiments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from budgetnet.report.axes import AIM, BOUND, FAINT, INK, STEP, TWIN, accuracy_axis, new_figure, png, stretched, style
from budgetnet.report.collect import Row
from budgetnet.report.placing import Box, label_spots, side_by_side

GAP = 2.5  # a gap between neighbouring counts wider than this factor starts the second panel
DASHES = (0, (4, 3))
FEW_AIMS = 4  # lines that leave the dots and their labels readable


@dataclass(frozen=True)
class Dot:
    """The values of a row in a plot: at least one of ``mean`` and ``reported`` is given. Accuracies in percent."""

    name: str
    parameters: int
    mean: float | None
    sd: float | None
    reported: float | None
    twin_of: str | None

    @property
    def values(self) -> list[float]:
        """Every accuracy that the drawing covers."""
        own = [] if self.mean is None else [self.mean - (self.sd or 0), self.mean, min(self.mean + (self.sd or 0), 100.0)]
        return own + ([] if self.reported is None else [self.reported])


@dataclass(frozen=True)
class Obstacles:
    """Boxes that labels must not hide, and horizontal positions (pixels) that no dot may be moved across."""

    boxes: list[Box]
    walls: list[float]


def dots(rows: Sequence[Row]) -> list[Dot]:
    found = []
    for row in rows:
        if row.parameters is not None and (row.aim.mean is not None or row.reproduction.reported is not None):
            mean, reported = row.aim.mean, row.reproduction.reported
            found.append(Dot(row.experiment.name, row.parameters, mean, row.aim.sd, reported, row.experiment.twin_of))
    return sorted(found, key=lambda dot: (dot.parameters, dot.name))


def parameters_plot(rows: Sequence[Row]) -> bytes | None:
    """A PNG of parameters against accuracy; None where there is nothing to show.

    Where the counts fall into a near group and far ones, the far ones stand in a panel of their own, so that the
    budgets' surroundings keep their room.
    """
    shown = dots(rows)
    if not shown:
        return None
    near, far = split(shown)
    figure = new_figure(11, 6.4)
    ratios = [5.2, 0.7 + min(0.25 * len(far), 3.0)] if far else [1]
    panels = list(figure.subplots(1, len(ratios), width_ratios=ratios, squeeze=False)[0])
    figure.subplots_adjust(left=0.062, right=0.965 if far else 0.985, bottom=0.105, top=0.885, wspace=0.12)
    aims = aim_lines(rows)
    # A twin's bound is its step's count; only the budgets that experiments were given are drawn.
    bounds = sorted({row.experiment.budget.bound for row in rows if row.experiment.budget.bound and row.experiment.twin_of is None})
    heights = accuracy_ranges(near, far, aims)
    for axes, group, values in zip(panels, (near, far), heights, strict=False):
        first = group is near
        style(axes)
        accuracy_axis(axes, "y", values)
        parameter_axis(axes, group, bounds if first else [], log=not first)
        panel(figure, axes, group, lines(figure, axes, bounds, aims, named=first))
    panels[0].set_ylabel("validation accuracy of the last epoch (%)", fontsize=9, color=INK)
    below = "trainable parameters (dots that would hide each other are set side by side)"
    figure.text(0.52, 0.02, below, ha="center", fontsize=9, color=INK)
    legend(figure, any(dot.twin_of for dot in shown))
    return png(figure)


def aim_lines(rows: Sequence[Row]) -> list[float]:
    """Return the aims, in percent, to draw as lines across the plot: all of a few, else only those of several steps.

    Many lines would cover the dots; the overview marks the aim of each experiment.
    """
    count = Counter(row.experiment.aim.accuracy for row in rows if row.experiment.aim and not row.experiment.twin_of)
    return sorted(aim for aim, steps in count.items() if len(count) <= FEW_AIMS or steps > 1)


def accuracy_ranges(near: Sequence[Dot], far: Sequence[Dot], aims: Sequence[float]) -> tuple[list[float], list[float]]:
    """The values that each panel's axis must hold: the same ones, unless the far panel would flatten the near one."""
    close, distant = ([value for dot in group for value in dot.values] + list(aims) for group in (near, far))
    alone, together = (float(np.ptp(stretched(values))) for values in (close, close + distant))
    return (close + distant, close + distant) if together <= 1.5 * alone else (close, distant)


def split(shown: Sequence[Dot]) -> tuple[list[Dot], list[Dot]]:
    """The dots up to the first gap wider than GAP, and those beyond it."""
    for index in range(1, len(shown)):
        if shown[index].parameters > GAP * shown[index - 1].parameters:
            return list(shown[:index]), list(shown[index:])
    return list(shown), []


def parameter_axis(axes: Axes, group: Sequence[Dot], bounds: Sequence[int], log: bool) -> None:
    counts = [dot.parameters for dot in group]
    near = [bound for bound in bounds if bound <= 1.6 * max(counts)]
    low, high = min(counts + near), max(counts + near)
    if log and high > 2 * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.8, high * 1.8)
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(which="minor", colors=FAINT, length=2)
    else:
        room = max(0.07 * (high - low), 0.04 * high)
        axes.set_xlim(low - room, high + room)
        axes.xaxis.set_major_locator(FixedLocator([high]) if log else MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g} million" if value >= 1e6 else f"{value:,.0f}"))


def lines(figure: Figure, axes: Axes, bounds: Sequence[int], aims: Sequence[float], named: bool) -> Obstacles:
    """Budgets and aims as dashed lines, labelled at the top and at the left."""
    left, right = axes.get_xlim()
    extent = axes.get_window_extent()
    within = [bound for bound in bounds if left < bound < right]
    labels: list[Box] = []
    for bound in within:
        axes.axvline(bound, color=BOUND, lw=1, ls=DASHES, zorder=1)
        text = axes.annotate(f"budget {bound:,}", (bound, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
                             ha="center", va="bottom", fontsize=8, color=BOUND)  # fmt: skip
        if any(box_of(figure, text).overlaps(other) for other in labels):
            text.set_position((0, 14))
        labels.append(box_of(figure, text))
    for aim in aims:
        axes.axhline(aim, color=AIM, lw=1, ls=DASHES, zorder=1)
        if named:
            text = axes.annotate(f"aim {aim:g} %", (0.004, aim), xycoords=("axes fraction", "data"), xytext=(0, 2),
                                 textcoords="offset points", ha="left", va="bottom", fontsize=8, color=AIM)  # fmt: skip
            labels.append(box_of(figure, text))
    walls = [float(axes.transData.transform((bound, aims[0] if aims else 99.0))[0]) for bound in within]
    floors = [float(axes.transData.transform(((left + right) / 2, aim))[1]) for aim in aims]
    drawn = [Box(x - 1, extent.y0, x + 1, extent.y1) for x in walls] + [Box(extent.x0, y - 1, extent.x1, y + 1) for y in floors]
    return Obstacles([*labels, *drawn], walls)


def panel(figure: Figure, axes: Axes, group: Sequence[Dot], obstacles: Obstacles) -> None:
    """Draw the dots of a panel, the steps first where they crowd, and label the steps."""
    group = sorted(group, key=lambda dot: dot.twin_of is not None)
    boxes = []
    for dot in group:
        pixels = [axes.transData.transform((dot.parameters, value)) for value in dot.values]
        x, heights = pixels[0][0], [y for _, y in pixels]
        boxes.append(Box(x - 7, min(heights) - 7, x + 7, max(heights) + 7))
    moved = [box.moved(shift) for box, shift in zip(boxes, side_by_side(boxes, 15, obstacles.walls), strict=True)]
    to_data = axes.transData.inverted()
    for dot, box in zip(group, moved, strict=True):
        mark(axes, dot, float(to_data.transform((box.x, box.y))[0]))
    label(figure, axes, [(dot, box) for dot, box in zip(group, moved, strict=True) if dot.twin_of is None], [*obstacles.boxes, *moved])


def mark(axes: Axes, dot: Dot, x: float) -> None:
    colour, marker = (TWIN, "D") if dot.twin_of else (STEP, "o")
    if dot.mean is not None:
        size = 4.2 if dot.twin_of else 5.8
        axes.errorbar(x, dot.mean, yerr=dot.sd, fmt=marker, color=colour, ms=size, elinewidth=1.2, capsize=2, zorder=4)
    if dot.reported is not None:
        axes.plot([x], [dot.reported], marker=marker, ms=6.5, mfc="white", mec=INK, mew=1, ls="none", zorder=3)


def label(figure: Figure, axes: Axes, owners: Sequence[tuple[Dot, Box]], obstacles: list[Box]) -> None:
    """Names beside their dots, with a fine line where the next free spot is not right there."""
    texts = [axes.text(0, 0, dot.name, fontsize=8, color=INK, transform=None, zorder=6) for dot, _ in owners]
    sizes = [(box.right - box.left + 2, box.top - box.bottom + 2) for box in (box_of(figure, text) for text in texts)]
    extent = axes.get_window_extent()
    frame = Box(extent.x0 + 2, extent.y0 + 2, extent.x1 + 8, extent.y1 - 2)
    spots = label_spots(sizes, [box for _, box in owners], obstacles, frame)
    to_data = axes.transData.inverted()
    for text, spot, (_, owner) in zip(texts, spots, owners, strict=True):
        text.set_position((spot.left + 1, spot.bottom + 1))
        text.set_verticalalignment("bottom")
        x, y = owner.x, min(max(spot.y, owner.bottom + 7), owner.top - 7)
        end = (min(max(x, spot.left), spot.right), min(max(y, spot.bottom), spot.top))
        if (end[0] - x) ** 2 + (end[1] - y) ** 2 > 26**2:
            ends = [to_data.transform((x, y)), to_data.transform(end)]
            axes.plot([p[0] for p in ends], [p[1] for p in ends], color=FAINT, lw=0.6, zorder=2, scalex=False, scaley=False)


def legend(figure: Figure, with_twins: bool, bars_at_aims: bool = False) -> None:
    """Draw the keys of the markers at the top right of the figure."""
    handles = [Line2D([], [], marker="o", color=STEP, ms=6.5, lw=1.3, label="ours: mean ± sd over seeds")]
    if with_twins:
        handles.append(Line2D([], [], marker="D", color=TWIN, ms=5, lw=1.3, label="its twin"))
    handles.append(Line2D([], [], marker="o", color=INK, mfc="white", ms=7, ls="none", label="reported (a single run)"))
    if bars_at_aims:
        handles.append(Line2D([], [], marker="|", color=AIM, mew=1.6, ms=10, ls="none", label="aim"))
    corner = (0.985, 1.0)
    figure.legend(
        handles=handles, loc="upper right", bbox_to_anchor=corner, ncols=len(handles), fontsize=8.5, frameon=False, labelcolor=INK
    )


def box_of(figure: Figure, text: object) -> Box:
    extent = text.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
    return Box(extent.x0, extent.y0, extent.x1, extent.y1)
