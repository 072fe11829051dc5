"""The final accuracies of all experiments, one below the other, with aims, reported figures and twins."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from budgetnet.report.axes import AIM, FAINT, INK, STEP, TWIN, accuracy_axis, new_figure, png, style
from budgetnet.report.collect import Row
from budgetnet.report.plots import dots, legend


def overview_plot(rows: Sequence[Row]) -> bytes | None:
    """A PNG of every step's final accuracy, its twin and its reported figure; None where there is nothing to show."""
    shown = {dot.name: dot for dot in dots(rows)}
    if not shown:
        return None
    steps = [row for row in rows if row.experiment.twin_of is None]
    twins = {row.experiment.twin_of: row for row in rows if row.experiment.twin_of}
    left = 0.25 + 0.075 * max(len(row.experiment.name) for row in steps)
    right = 0.3 + 0.07 * max(len(said(row)) for row in steps)
    width, height = left + 6.4 + right, 1.25 + 0.36 * len(steps)
    figure = new_figure(width, height)
    axes = figure.subplots()
    figure.subplots_adjust(left=left / width, right=1 - right / width, bottom=0.5 / height, top=1 - 0.62 / height)
    style(axes)
    aims = sorted({row.experiment.aim.accuracy for row in rows if row.experiment.aim})
    seeds = [value for row in rows for value in row.accuracies]
    accuracy_axis(axes, "x", [value for dot in shown.values() for value in dot.values] + aims + seeds, apart=0.06)
    for place, row in enumerate(steps):
        overview_line(axes, place, row, twins.get(row.experiment.name))
    axes.set_ylim(len(steps) - 0.4, -0.6)
    axes.set_yticks(range(len(steps)), [row.experiment.name for row in steps])
    axes.set_xlabel("validation accuracy of the last epoch (%)", fontsize=8.5, color=INK)
    legend(figure, bool(twins), bars_at_aims=bool(aims))
    return png(figure)


def overview_line(axes: Axes, height: int, row: Row, twin: Row | None) -> None:
    """Draw one step: its seeds, mean and sd, reported figure and aim; its twin below; its verdict at the right."""
    for one, y in ((row, height - 0.12 if twin else height), (twin, height + 0.22)):
        if one is None:
            continue
        colour, marker, size = (TWIN, "D", 4.5) if one.experiment.twin_of else (STEP, "o", 6)
        axes.plot(one.accuracies, [y] * len(one.accuracies), marker="|", ms=6, color=colour, alpha=0.5, ls="none", zorder=2)
        if one.aim.mean is not None:
            axes.errorbar(one.aim.mean, y, xerr=one.aim.sd, fmt=marker, color=colour, ms=size, elinewidth=1.3, capsize=2, zorder=4)
        if one.reproduction.reported is not None:
            axes.plot([one.reproduction.reported], [y], marker=marker, ms=7, mfc="none", mec=INK, mew=1.1, ls="none", zorder=5)
    if row.experiment.aim is not None:
        axes.vlines(row.experiment.aim.accuracy, height - 0.34, height + 0.34, color=AIM, lw=1.6, zorder=3)
    colour = INK if row.results else FAINT
    axes.annotate(said(row), (1.01, height), xycoords=("axes fraction", "data"), fontsize=7.5, va="center", color=colour)


def said(row: Row) -> str:
    """Return the text beside a line: the aim's verdict, or why there is none."""
    return row.aim.text if row.results and row.aim.aim is not None else row.status
