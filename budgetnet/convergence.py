"""Stability and speed of convergence of a run, from its validation accuracies epoch by epoch, in percent. Imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from budgetnet.verdict import ROUNDING

LAST = 5  # epochs over which stability is measured
NEAR = 0.1  # percentage points within which a run counts as having arrived at its last epoch's accuracy


@dataclass(frozen=True)
class Convergence:
    """Convergence of a run.

    ``at_aim``: epochs at or above the aim, None without an aim. ``last_sd``: sample standard deviation of the last five
    epochs, in percentage points, None for a run of fewer. ``arrived``: the first epoch within 0.1 points of the last
    one, counted from 1.
    """

    at_aim: int | None
    last_sd: float | None
    arrived: int


def convergence(accuracies: Sequence[float], aim: float | None) -> Convergence:
    """Measure one run. ValueError without an epoch."""
    if not accuracies:
        raise ValueError("a run without epochs has no convergence; expected at least one accuracy")
    at_aim = None if aim is None else sum(value >= aim - ROUNDING for value in accuracies)
    last_sd = statistics.stdev(accuracies[-LAST:]) if len(accuracies) >= LAST else None
    arrived = next(n for n, value in enumerate(accuracies, start=1) if abs(value - accuracies[-1]) <= NEAR + ROUNDING)
    return Convergence(at_aim, last_sd, arrived)
