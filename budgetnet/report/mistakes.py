"""Errors of a network: the confusion matrix, and the worst errors with their images."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb

from budgetnet.diagnostics.record import Diagnostics, WorstError
from budgetnet.report.axes import AIM, FAINT, GRID, INK, STEP, TWIN, new_figure, png

ERRORS = LinearSegmentedColormap.from_list("errors", ["white", "#f6c9a4", TWIN])
MOST_LABELLED = 20  # classes; more leave no room for a number in a cell
ACROSS = 6  # images side by side
LONGEST_NAME = 12  # characters of a class's name beside the matrix


def confusion_plot(record: Diagnostics) -> bytes | None:
    """A PNG of the confusion matrix: errors by shade, correct ones in another colour, so that both can be read."""
    table = np.asarray(record.confusion)
    classes = len(table)
    labelled = classes <= MOST_LABELLED
    side = 0.46 * classes if labelled else 6.0
    room = 0.07 * max(0, min(max(len(record.name(n)) for n in range(classes)), LONGEST_NAME) - 3)  # for the names, left and above
    width, height = side + 1.5 + room, side + 0.85 + room
    figure = new_figure(width, height)
    axes = figure.add_axes(((0.7 + room) / width, 0.25 / height, side / width, side / height))
    wrong = np.where(np.eye(classes, dtype=bool), 0, table)
    shade = np.sqrt(wrong / max(int(wrong.max()), 1))  # roots: a single error is still seen beside ten
    pixels = ERRORS(shade)[..., :3]
    # correct cells by their share of the true class
    share = np.diag(table) / np.maximum(table.sum(1), 1)
    for n in range(classes):
        pixels[n, n] = 1 - 0.45 * share[n] * (1 - np.asarray(to_rgb(STEP)))
    axes.imshow(pixels, extent=(-0.5, classes - 0.5, classes - 0.5, -0.5), interpolation="nearest")
    if labelled:
        _numbers(axes, table, shade, share)
    _frame(axes, [record.name(n) for n in range(classes)], labelled)
    return png(figure)


def _numbers(axes: Axes, table: np.ndarray, shade: np.ndarray, share: np.ndarray) -> None:
    for true, row in enumerate(table):
        for predicted, count in enumerate(row):
            if count:
                dark = true != predicted and shade[true, predicted] > 0.8
                axes.text(predicted, true, f"{count:,}", ha="center", va="center", fontsize=7.5, color="white" if dark else INK)
        axes.text(len(table) - 0.3, true, f"{100 * share[true]:.1f} %", ha="left", va="center", fontsize=7.5, color=FAINT)
    axes.text(len(table) - 0.3, -0.85, "correct", ha="left", va="center", fontsize=7.5, color=FAINT)


def _frame(axes: Axes, names: list[str], labelled: bool) -> None:
    classes = len(names)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    step = 1 if labelled else 10
    short = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in names[::step]]
    slanted = 0 if max(map(len, short)) <= 3 else 45
    axes.set_xticks(range(0, classes, step), short, rotation=slanted, ha="left" if slanted else "center", rotation_mode="anchor")
    axes.set_yticks(range(0, classes, step), short)
    axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
    if labelled:
        axes.grid(True, which="minor", color=GRID, linewidth=0.8)
    axes.tick_params(which="both", length=0, labelsize=8.5, labelcolor=INK)
    axes.set_xlabel("predicted", fontsize=9, color=INK, labelpad=6)
    axes.set_ylabel("true", fontsize=9, color=INK)
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def errors_plot(record: Diagnostics) -> bytes | None:
    """A PNG of the worst errors' images with the true and the predicted class and the confidence; None where there is no error."""
    if not record.errors:
        return None
    across = min(ACROSS, len(record.errors))
    down = -(-len(record.errors) // across)
    cell, text = 1.32, 0.5
    width, height = across * (cell + 0.12) + 0.12, down * (cell + text) + 0.08
    figure = new_figure(max(width, 3.0), height)
    for place, error in enumerate(record.errors):
        left, top = 0.12 + (place % across) * (cell + 0.12), height - 0.03 - (place // across) * (cell + text)
        axes = figure.add_axes((left / max(width, 3.0), (top - text - cell) / height, cell / max(width, 3.0), cell / height))
        _error(axes, error, record)
    return png(figure)


def _error(axes: Axes, error: WorstError, record: Diagnostics) -> None:
    image = error.image(record.picture_shape)
    true, predicted = (name if len(name) <= 8 else f"{name[:7]}…" for name in map(record.name, (error.true, error.predicted)))
    # ink on white: like the page, and dots at the border of a black square would be lost
    axes.imshow(image[0] if len(image) == 1 else image.transpose(1, 2, 0), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(GRID)
    named = len(true) + len(predicted) > 6  # names need the whole line, and smaller letters
    size, advance = (7, 4.9) if named else (9.5, 7.2)  # points
    at: dict[str, Any] = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(true, xytext=(1, 15), fontsize=size, color=AIM, fontweight="bold", **at)
    axes.annotate(f"→ {predicted}", xytext=(4 + advance * len(true), 15), fontsize=size, color=TWIN, fontweight="bold", **at)
    axes.annotate(f"#{error.index}", (1, 1), xycoords="axes fraction", xytext=(0, 4 if named else 15.5), textcoords="offset points",
                  fontsize=7, color=FAINT, ha="right")  # fmt: skip
    axes.annotate(f"{100 * error.confidence:.2f} % sure", (0, 1), xycoords="axes fraction", xytext=(1, 4), textcoords="offset points",
                  fontsize=7.5, color=INK)  # fmt: skip
