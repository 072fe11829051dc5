"""Shared parts of the plots of searches: colours for accuracies, numeric axes, the heading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from budgetnet.report.axes import FAINT, INK, chosen_ticks, stretched, unstretched
from budgetnet.report.sweep_tables import value_word
from budgetnet.study_results import AxisRecord, StudyRecord

BEST, FAILED = "#d0312d", "#b3b9c1"
MAP = colormaps["viridis"]
SPREAD = 8  # numbers whose largest is that many times the smallest stand on a logarithmic axis

Colour = tuple[float, ...]


@dataclass(frozen=True)
class ColourScale:
    """Accuracies from ``low`` to ``high``, both as positions on the stretched axis (axes.stretched), as colours."""

    low: float
    high: float

    def of(self, accuracy: float) -> Colour:
        return tuple(MAP((float(stretched(accuracy)) - self.low) / (self.high - self.low)))


def colour_scale(study: StudyRecord) -> ColourScale:
    positions = [float(stretched(point.value)) for point in study.complete]
    low, high = min(positions), max(positions)
    return ColourScale(low, high) if high > low else ColourScale(low - 0.5, high + 0.5)


def colour_bar(figure: Figure, colours: ColourScale, box: tuple[float, float, float, float]) -> None:
    """A bar whose ticks are accuracies, with the lowest and the highest value at its ends."""
    axes = figure.add_axes(box)
    ramp = np.linspace(0, 1, 128)[:, None]
    axes.imshow(ramp, aspect="auto", origin="lower", cmap=MAP, extent=(0, 1, colours.low, colours.high))
    axes.xaxis.set_major_locator(NullLocator())
    axes.yaxis.tick_right()
    ticks = accuracy_ticks(colours.low, colours.high, 0.13)
    axes.set_yticks([float(stretched(tick)) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8, length=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def accuracy_ticks(low: float, high: float, apart: float) -> list[float]:
    """Ticks between two positions of the stretched axis: the telling accuracies, or round ones where fewer than three are telling."""
    telling = list(chosen_ticks(low, high, apart))
    if len(telling) > 2:
        return telling
    round_ones = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(float(unstretched(low)), float(unstretched(high)))
    return [float(tick) for tick in round_ones if low <= float(stretched(tick)) <= high]


def ticks_within(limits: tuple[float, float]) -> list[float]:
    """Ticks of an axis of accuracies with these limits, in percent."""
    return accuracy_ticks(float(stretched(limits[0])), float(stretched(limits[1])), 0.055)


def readable_on(colour: str | Colour) -> str:
    """Ink or white, whichever is read better on ``colour``."""
    if isinstance(colour, str):
        return INK
    red, green, blue = colour[:3]
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.52 else "white"


def no_lines(axes: Axes) -> None:
    """Labels alone, for cells that are their own frame."""
    axes.tick_params(length=0, labelcolor=INK, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)


def number_axis(axes: Axes, which: str, axis: AxisRecord, values: Sequence[float]) -> None:
    """An axis that holds ``values``, logarithmic where the search was, or where they span an order of magnitude."""
    low, high = min(values), max(values)
    log = axis.log or (low > 0 and high >= SPREAD * low)
    room = (high / low) ** 0.06 if log else 0.06 * (high - low)
    if low == high:
        room = 2.0 if log else max(abs(low), 1.0)
    limits = (low / room, high * room) if log else (low - room, high + room)
    (axes.set_xlim if which == "x" else axes.set_ylim)(*limits)
    if log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    ticks = axes.xaxis if which == "x" else axes.yaxis
    ticks.set_major_locator(_locator(axis, log, limits))
    ticks.set_major_formatter(FuncFormatter(lambda value, _: value_word(float(value))))
    ticks.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", colors=FAINT, length=2)
    if axis.values is not None:
        ticks.set_minor_locator(NullLocator())


def _locator(axis: AxisRecord, log: bool, limits: tuple[float, float]) -> Any:
    """The searched values themselves where they leave each other room, else round numbers."""
    listed = sorted(axis.values or ())
    positions = np.log(listed) if log and listed else np.asarray(listed, dtype=float)
    span = float(np.log(limits[1] / limits[0])) if log else limits[1] - limits[0]
    if listed and all(b - a >= 0.07 * span for a, b in pairwise(positions)):
        return FixedLocator(listed)
    decades = span / float(np.log(10))
    return (
        LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,))
        if log
        else MaxNLocator(7, integer=all(isinstance(value, int) for value in listed or [0.5]))
    )


def heading(figure: Figure, study: StudyRecord) -> None:
    """The study's name and what is drawn, at the upper left."""
    height = float(figure.get_size_inches()[1])
    what = f"accuracy of the last epoch (%) on {study.holdout:,} held-out images"
    figure.text(0.015, 1 - 0.1 / height, study.name, ha="left", va="top", fontsize=10.5, color=INK, fontweight="bold")
    figure.text(0.015, 1 - 0.3 / height, what, ha="left", va="top", fontsize=8, color=FAINT)
