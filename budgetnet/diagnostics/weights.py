"""The distribution of a trained tensor's values, small enough to store and enough to draw a violin."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from budgetnet.diagnostics.record import Weights

POINTS = 101
SAMPLE = 4_000  # order statistics that stand for a larger tensor: a kernel density of 25 million values would take minutes
ALL_POINTS = 8_000  # of all tensors of a network together, so that a record of a hundred layers stays small
FEWEST_POINTS = 21


def summarize(tensors: Iterable[tuple[str, np.ndarray]]) -> tuple[Weights, ...]:
    """A summary of every named tensor that has a dimension and a value, in order."""
    found = [(name, values) for name, values in tensors if values.ndim and values.size]
    points = int(np.clip(ALL_POINTS // max(len(found), 1), FEWEST_POINTS, POINTS))
    return tuple(summary(name, values, points) for name, values in found)


def summary(name: str, values: np.ndarray, points: int = POINTS) -> Weights:
    """The summary of one tensor; figures have six digits, the density three. Values that are not finite are left out."""
    ordered = np.sort(values[np.isfinite(values)], axis=None)
    if not ordered.size:
        ordered = np.zeros(1)
    chosen = np.linspace(0, ordered.size - 1, min(SAMPLE, ordered.size)).round().astype(np.int64)
    mean, sd = ordered.mean(dtype=np.float64), ordered.std(dtype=np.float64)
    low, lower, median, upper, high = (_short(value) for value in np.quantile(ordered, (0, 0.25, 0.5, 0.75, 1)))
    return Weights(
        name, values.shape, values.size, _short(mean), _short(sd), low, lower, median, upper, high,
        _density(ordered[chosen].astype(np.float64), points),
    )  # fmt: skip


def _short(value: float, digits: int = 6) -> float:
    return float(f"{value:.{digits}g}")


def _density(ordered: np.ndarray, points: int) -> tuple[float, ...]:
    """A Gaussian kernel density from the least to the largest value, its peak 1; nothing where there is only one value."""
    from scipy import stats  # half a second, which `budgetnet show` need not wait for

    if ordered[0] == ordered[-1]:
        return ()
    span = ordered[-1] - ordered[0]
    try:
        density = stats.gaussian_kde((ordered - ordered[0]) / span)(np.linspace(0, 1, points))  # scaled: tiny weights underflow
    except np.linalg.LinAlgError:  # values so close together that their variance is 0
        return ()
    return tuple(_short(value, 3) for value in density / density.max())
