"""Loss and accuracy against epoch, training and validation together: all seeds thin, their mean thick.

Where the document prints a curve, it is drawn over ours, whose 95 % prediction interval of a single run is the band behind.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from budgetnet.report.axes import AIM, FAINT, INK, TRAIN, VALIDATION, accuracy_axis, new_figure, png, style
from budgetnet.report.collect import Row, counted
from budgetnet.results import Result
from budgetnet.verdict import MIN_SEEDS, prediction_interval

LEAST_LOSS = 1e-6  # nats; a loss of 0 has no place on a logarithmic axis
LOWEST_ACCURACY = 80.0  # percent; what is below would press the interesting end together


def curves(row: Row) -> bytes | None:
    """A PNG of a row's training curves; of the unfinished runs where none is finished, None where there are none."""
    results = row.results or row.partial
    if not results:
        return None
    figure = new_figure(8.2, 2.9)
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, bottom=0.15, top=0.80, wspace=0.19)
    loss_axes.set_yscale("log")
    documents = row.experiment.reported.curves if row.experiment.reported else ()
    for axes, quantity, least in ((loss_axes, "loss", LEAST_LOSS), (accuracy_axes, "accuracy", 0.0)):
        for part, colour in (("train", TRAIN), ("validation", VALIDATION)):
            name = f"{part}_{quantity}"
            draw(axes, results, name, least, colour)
            for number, document in enumerate(documents):
                draw_document(axes, getattr(document, name), colour, number)
    style(loss_axes, "loss (nats)")
    style(accuracy_axes, "accuracy (%)")
    scale(accuracy_axes, row, results)
    loss_axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss_axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    loss_axes.yaxis.set_minor_locator(NullLocator())
    for axes in (loss_axes, accuracy_axes):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        axes.set_xlabel("epoch", fontsize=8, color=INK)
    names = ((TRAIN, "training"), (VALIDATION, "validation"))  # training: the mean over the epoch
    handles: list[Artist] = [Line2D([], [], color=colour, lw=2, label=name) for colour, name in names]
    if len(results) >= MIN_SEEDS:
        handles.append(Patch(color=FAINT, alpha=0.25, lw=0, label="95 % of single runs"))
    for number, document in enumerate(documents):
        handles.append(Line2D([], [], **document_style(INK, number), label=f"document: {document.run}"))
    figure.legend(
        handles=handles,
        loc="upper right",
        ncols=len(handles),
        fontsize=7.5,
        columnspacing=1.2,
        frameon=False,
        bbox_to_anchor=(0.99, 1.0),
        labelcolor=INK,
    )
    state = "" if row.results else ", unfinished"
    figure.text(0.012, 0.935, f"{row.experiment.name}: {counted(len(results), 'seed')}{state}", fontsize=9, color=FAINT)
    return png(figure)


def draw(axes: Axes, results: Sequence[Result], name: str, least: float, colour: str) -> None:
    """Draw a quantity, no lower than ``least``: a thin line for each seed, a thick one for the mean, a band for one more run.

    The mean is that of the seeds that reached an epoch; the band is the 95 % prediction interval, from three seeds on.
    """
    by_epoch: dict[int, list[float]] = {}
    for result in results:
        values = [max(getattr(record, name), least) for record in result.epochs]
        axes.plot([record.epoch for record in result.epochs], values, color=colour, lw=0.7, alpha=0.4)
        for record, value in zip(result.epochs, values, strict=True):
            by_epoch.setdefault(record.epoch, []).append(value)
    epochs = sorted(by_epoch)
    means = [statistics.fmean(by_epoch[epoch]) for epoch in epochs]
    intervals = {epoch: prediction_interval(by_epoch[epoch]) for epoch in epochs}
    band = {epoch: interval for epoch, interval in intervals.items() if interval is not None}
    if band:
        lower, upper = zip(*band.values(), strict=True)
        axes.fill_between(list(band), [max(value, least) for value in lower], list(upper), color=colour, alpha=0.13, lw=0, zorder=0)
    axes.plot(epochs, means, color=colour, lw=1.9, marker="o" if len(epochs) < 4 else None, markersize=3.5)


def draw_document(axes: Axes, values: Sequence[float], colour: str, number: int) -> None:
    """Return a quantity of a document's curve, from the first epoch on; empty if it does not print it."""
    if values:
        axes.plot(range(1, len(values) + 1), values, **document_style(colour, number), zorder=4)


def document_style(colour: str, number: int) -> dict[str, Any]:
    """Return the style of the document's runs: dots on a dashed line, the second run with other dots."""
    return {
        "color": colour,
        "lw": 0.9,
        "ls": (0, (3, 2)),
        "marker": "os^"[number % 3],
        "ms": 3.2,
        "mec": INK,
        "mew": 0.6,
    }


def scale(axes: Axes, row: Row, results: Sequence[Result]) -> None:
    """The accuracy axis with the aim drawn in; values below 80 % are left outside once something is above."""
    values = [value for result in results for r in result.epochs for value in (r.train_accuracy, r.validation_accuracy)]
    values += [value for curve in (row.experiment.reported.curves if row.experiment.reported else ())
               for value in (*curve.train_accuracy, *curve.validation_accuracy)]  # fmt: skip
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
