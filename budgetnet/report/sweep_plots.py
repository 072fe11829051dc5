"""A search drawn: a map over two axes, a curve over one number, dots for what is no number."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from budgetnet.report.axes import AIM, INK, STEP, TWIN, accuracy_axis, new_figure, png, style
from budgetnet.report.sweep_axes import BEST, FAILED, colour_bar, colour_scale, heading, no_lines, number_axis, readable_on, ticks_within
from budgetnet.report.sweep_tables import axis_name, is_map, is_numeric, lines, ordered, placed, value_word
from budgetnet.study_results import AxisRecord, PointRecord, StudyRecord


def draw_study(study: StudyRecord) -> bytes | None:
    """A PNG of the study; None where no point has a value yet."""
    if not study.complete:
        return None
    if is_map(study):
        return heat_map(study)
    if len(study.axes) == 1 and is_numeric(study.axes[0]):
        return curve(study)
    if len(study.axes) == 2 and all(map(is_numeric, study.axes)):
        return scatter(study)
    return dots(study)


# --- two axes ---------------------------------------------------------------------------------------------------------


def heat_map(study: StudyRecord) -> bytes:
    """Cells with their values in them, coloured by the logarithm of the error so that the good ones differ; the best is framed."""
    down, across = study.axes
    rows, columns = list(down.values or ()), list(across.values or ())
    figure = new_figure(max(4.6, 1.9 + 0.92 * len(columns)), max(2.9, 1.6 + 0.56 * len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    colours = colour_scale(study)
    for (value_down, value_across), point in placed(study).items():
        x, y = columns.index(value_across), rows.index(value_down)
        colour = FAILED if point.value is None else colours.of(point.value)
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
        text = f"{point.value:.2f}" if point.value is not None else point.state
        axes.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=9.5,
            color=readable_on(colour),
            fontweight="bold" if point.number == study.best else None,
        )
    best = study.best_point
    if best is not None:
        corner = (columns.index(best.point[across.field]) - 0.47, rows.index(best.point[down.field]) - 0.47)
        axes.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=BEST, linewidth=2.4))
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), [value_word(value) for value in columns])
    axes.set_yticks(range(len(rows)), [value_word(value) for value in rows])
    no_lines(axes)
    axes.set_xlabel(axis_name(across.field), fontsize=9.5, color=INK)
    axes.set_ylabel(axis_name(down.field), fontsize=9.5, color=INK)
    width, height = figure.get_size_inches()
    axes.set_position((0.85 / width, 0.6 / height, 1 - 1.75 / width, 1 - 1.15 / height))
    colour_bar(figure, colours, (1 - 0.78 / width, 0.6 / height, 0.14 / width, 1 - 1.15 / height))
    heading(figure, study)
    return png(figure)


def scatter(study: StudyRecord) -> bytes:
    """Proposed points over two numbers, coloured by their values."""
    figure = new_figure(6.4, 4.6)
    axes = figure.add_axes((0.12, 0.13, 0.72, 0.75))
    style(axes)
    colours = colour_scale(study)
    first, second = study.axes
    for point in study.points:
        if not point.point:
            continue
        where = (point.point[first.field], point.point[second.field])
        if point.value is None:
            if point.state == "failed":
                axes.plot(*where, marker="x", color=FAILED, ms=7, ls="none")
            continue
        edge, size = (BEST, 11) if point.number == study.best else ("white", 8)
        axes.plot(*where, marker="o", color=colours.of(point.value), ms=size, mec=edge, mew=1.8, ls="none")
    for axis, which in ((first, "x"), (second, "y")):
        number_axis(axes, which, axis, [point.point[axis.field] for point in study.points if point.point])
    axes.set_xlabel(axis_name(first.field), fontsize=9.5, color=INK)
    axes.set_ylabel(axis_name(second.field), fontsize=9.5, color=INK)
    colour_bar(figure, colours, (0.87, 0.13, 0.022, 0.75))
    heading(figure, study)
    return png(figure)


# --- one axis ---------------------------------------------------------------------------------------------------------


def curve(study: StudyRecord) -> bytes:
    """Accuracy over one number: a grid's means joined, every seed as a faint dot, failed points as crosses at the bottom."""
    axis = study.axes[0]
    shown = sorted(study.complete, key=lambda point: point.point[axis.field])
    failed = [point.point[axis.field] for point in study.points if point.state == "failed"]
    figure = new_figure(7.2, 4.2)
    axes = figure.add_axes((0.1, 0.14, 0.87, 0.73))
    style(axes)
    seeds = [(point.point[axis.field], value) for point in shown for value in point.by_seed.values()]
    values = [value for _, value in seeds] + [point.value for point in shown if point.value is not None]
    accuracy_axis(axes, "y", values, margin=0.12)
    axes.set_yticks(ticks_within(axes.get_ylim()))
    number_axis(axes, "x", axis, [point.point[axis.field] for point in study.points if point.point])
    if len(study.seeds) > 1:
        axes.plot([x for x, _ in seeds], [y for _, y in seeds], "o", color=STEP, alpha=0.35, ms=4, mec="none", label="a seed")
    line = "-o" if study.sampler == "grid" else "o"  # a line over proposals would show their scatter as if it were a curve
    label = "mean over seeds" if len(study.seeds) > 1 else None
    axes.plot(
        [p.point[axis.field] for p in shown], [p.value or 0.0 for p in shown], line, color=STEP, lw=1.4, ms=6, mec="white", label=label
    )
    if failed:
        transform = axes.get_xaxis_transform()
        axes.plot(failed, [0.02] * len(failed), "x", color=TWIN, ms=8, mew=2, transform=transform, clip_on=False, label="failed")
    best = study.best_point
    if best is not None:
        _mark_best(axes, axis, best)
    axes.set_xlabel(axis_name(axis.field), fontsize=9.5, color=INK)
    if failed or label:
        axes.legend(fontsize=8, frameon=False, loc="best", labelcolor=INK)
    heading(figure, study)
    return png(figure)


def _mark_best(axes: Axes, axis: AxisRecord, best: PointRecord) -> None:
    x, y = best.point[axis.field], best.value or 0.0
    axes.plot([x], [y], "o", ms=12, mfc="none", mec=BEST, mew=2)
    share = float(axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[0])
    side, shift = ("right", -11) if share > 0.6 else ("left", 11)
    axes.annotate(
        f"{value_word(x)}: {y:.2f} %", (x, y), xytext=(shift, 7), textcoords="offset points", ha=side,
        fontsize=9, color=INK, fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )  # fmt: skip


def dots(study: StudyRecord) -> bytes:
    """A line for every point: ours with its seeds, and what the source reports."""
    rows = [(line, point) for line, point in zip(lines(study), ordered(study), strict=True) if point.point]
    names = [" · ".join(f"{axis_name(a.field)} {v}" for a, v in zip(study.axes, line.values, strict=True)) for line, _ in rows]
    reported = {tuple(values): accuracy for values, accuracy in study.reported}
    figure = new_figure(8.2, 1.35 + 0.42 * len(rows))
    left = min(0.5, 0.03 + 0.0085 * max(map(len, names)))
    height = float(figure.get_size_inches()[1])
    axes = figure.add_axes((left, 0.62 / height, 0.97 - left, 1 - 1.18 / height))
    style(axes)
    theirs = [reported.get(tuple(point.point.get(a.field) for a in study.axes)) for _, point in rows]
    every = [value for _, point in rows for value in (point.value, *point.by_seed.values())]
    accuracy_axis(axes, "x", [value for value in (*every, *theirs) if value is not None], margin=0.08)
    axes.set_xticks(ticks_within(axes.get_xlim()))
    for y, ((_, point), figure_of_source) in enumerate(zip(rows, theirs, strict=True)):
        seeds = list(point.by_seed.values())
        if len(seeds) > 1:
            axes.plot(seeds, [y] * len(seeds), "o", color=STEP, alpha=0.35, ms=5, mec="none")
        if point.value is not None:
            edge = BEST if point.number == study.best else "white"
            axes.plot([point.value], [y], "o", color=STEP, ms=9, mec=edge, mew=2)
        else:
            axes.text(0.01, y, point.state, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)
        if figure_of_source is not None:
            axes.plot([figure_of_source], [y], "D", color=AIM, ms=6.5, mec="white")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), names)
    kinds = [("ours, framed: the best", "o", STEP, True), ("reported", "D", AIM, bool(study.reported))]
    keys = [Line2D([], [], marker=mark, color=colour, ls="none", ms=6, label=name) for name, mark, colour, shown in kinds if shown]
    axes.legend(handles=keys, loc="lower right", bbox_to_anchor=(1, 0.99), ncol=2, frameon=False, fontsize=8, labelcolor=INK)
    heading(figure, study)
    seeds_shown = f"mean of {len(study.seeds)} seeds, each seed faint" if len(study.seeds) > 1 else "one seed"
    axes.set_xlabel(seeds_shown, fontsize=8.5, color=INK)
    return png(figure)
