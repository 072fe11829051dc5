"""Loss and accuracy against epoch, training and validation together: all seeds thin, their mean thick."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from budgetnet.report.axes import AIM, FAINT, INK, TRAIN, VALIDATION, accuracy_axis, new_figure, png, style
from budgetnet.report.collect import Row, counted
from budgetnet.results import EpochRecord, Result

LEAST_LOSS = 1e-6  # nats; a loss of 0 has no place on a logarithmic axis
LOWEST_ACCURACY = 80.0  # percent; what is below would press the interesting end together
Pick = Callable[[EpochRecord], float]


def curves(row: Row) -> bytes | None:
    """A PNG of a row's training curves; of the unfinished runs where none is finished, None where there are none."""
    results = row.results or row.partial
    if not results:
        return None
    figure = new_figure(8.2, 2.9)
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.15, top=0.80, wspace=0.19)
    loss_axes.set_yscale("log")
    draw(loss_axes, results, lambda r: max(r.train_loss, LEAST_LOSS), TRAIN)
    draw(loss_axes, results, lambda r: max(r.validation_loss, LEAST_LOSS), VALIDATION)
    draw(accuracy_axes, results, lambda r: r.train_accuracy, TRAIN)
    draw(accuracy_axes, results, lambda r: r.validation_accuracy, VALIDATION)
    style(loss_axes, "loss (nats)")
    style(accuracy_axes, "accuracy (%)")
    scale(accuracy_axes, row, results)
    loss_axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss_axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    loss_axes.yaxis.set_minor_locator(NullLocator())
    for axes in (loss_axes, accuracy_axes):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        axes.set_xlabel("epoch", fontsize=8, color=INK)
    names = ((TRAIN, "training (mean over the epoch)"), (VALIDATION, "validation"))
    handles = [Line2D([], [], color=colour, lw=2, label=name) for colour, name in names]
    figure.legend(handles=handles, loc="upper right", ncols=2, fontsize=8, frameon=False, bbox_to_anchor=(0.99, 1.0), labelcolor=INK)
    state = "" if row.results else ", unfinished"
    figure.text(0.012, 0.935, f"{row.experiment.name}: {counted(len(results), 'seed')}{state}", fontsize=9, color=FAINT)
    return png(figure)


def draw(axes: Axes, results: Sequence[Result], pick: Pick, colour: str) -> None:
    """One quantity: a thin line for each seed, a thick one for the mean of the seeds that reached an epoch."""
    by_epoch: dict[int, list[float]] = {}
    for result in results:
        axes.plot([r.epoch for r in result.epochs], [pick(r) for r in result.epochs], color=colour, lw=0.7, alpha=0.4)
        for record in result.epochs:
            by_epoch.setdefault(record.epoch, []).append(pick(record))
    epochs = sorted(by_epoch)
    means = [statistics.fmean(by_epoch[epoch]) for epoch in epochs]
    axes.plot(epochs, means, color=colour, lw=1.9, marker="o" if len(epochs) < 4 else None, markersize=3.5)


def scale(axes: Axes, row: Row, results: Sequence[Result]) -> None:
    """The accuracy axis with the aim drawn in; values below 80 % are left outside once something is above."""
    values = [value for result in results for r in result.epochs for value in (r.train_accuracy, r.validation_accuracy)]
    aim = row.experiment.aim
    if aim is not None:
        axes.axhline(aim.accuracy, color=AIM, lw=1, ls=(0, (4, 3)), zorder=1)
        axes.annotate(
            f"aim {aim.accuracy:g}", (0.01, aim.accuracy), xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points",
            ha="left", va="bottom", fontsize=7.5, color=AIM,
        )  # fmt: skip
        values.append(aim.accuracy)
    if max(values) > LOWEST_ACCURACY:
        values = [max(value, LOWEST_ACCURACY) for value in values]
    accuracy_axis(axes, "y", values, apart=0.075)
