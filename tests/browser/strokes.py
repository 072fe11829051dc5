"""Synthetic handwriting: each digit as strokes, lists of points (x, y) from 0 to 1 with y downwards, in the order a pen makes them.

Written down once, as one writes digits, and not changed to please a network.
"""

from __future__ import annotations

import math
from itertools import pairwise

Points = list[tuple[float, float]]

STEP = 0.03  # between two positions of the pointer, as a quick hand leaves them


def straight(*corners: tuple[float, float]) -> Points:
    """Straight lines from corner to corner."""
    points = [corners[0]]
    for (x, y), (to_x, to_y) in pairwise(corners):
        steps = max(1, round(math.hypot(to_x - x, to_y - y) / STEP))
        points += [(x + (to_x - x) * i / steps, y + (to_y - y) * i / steps) for i in range(1, steps + 1)]
    return points


def curve(*through: tuple[float, float]) -> Points:
    """A smooth curve through the points given (Catmull-Rom)."""
    padded = [through[0], *through, through[-1]]
    points = [through[0]]
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        steps = max(1, round(math.dist(start, end) / STEP))
        points += [_on_curve((before, start, end, after), i / steps) for i in range(1, steps + 1)]
    return points


def _on_curve(four: tuple[tuple[float, float], ...], t: float) -> tuple[float, float]:
    x, y = (_between(*values, t) for values in zip(*four, strict=True))
    return x, y


def _between(before: float, start: float, end: float, after: float, t: float) -> float:
    return 0.5 * (
        2 * start + (end - before) * t + (2 * before - 5 * start + 4 * end - after) * t**2 + (3 * start - before - 3 * end + after) * t**3
    )


DIGITS: dict[int, list[Points]] = {
    0: [
        curve(
            (0.54, 0.21), (0.41, 0.24), (0.33, 0.38), (0.31, 0.54), (0.37, 0.71), (0.49, 0.79), (0.62, 0.72), (0.69, 0.55),
            (0.68, 0.38), (0.61, 0.25), (0.53, 0.21),
        )
    ],
    1: [straight((0.54, 0.20), (0.47, 0.80))],
    2: [
        curve((0.33, 0.32), (0.40, 0.22), (0.52, 0.19), (0.64, 0.26), (0.64, 0.38), (0.54, 0.53), (0.42, 0.67), (0.33, 0.78))
        + straight((0.33, 0.78), (0.70, 0.77))
    ],
    3: [
        curve((0.35, 0.25), (0.48, 0.19), (0.61, 0.24), (0.62, 0.36), (0.53, 0.45), (0.46, 0.47))
        + curve((0.46, 0.47), (0.56, 0.49), (0.66, 0.58), (0.64, 0.72), (0.52, 0.80), (0.36, 0.76))
    ],
    4: [straight((0.42, 0.20), (0.33, 0.54), (0.68, 0.54)), straight((0.60, 0.30), (0.58, 0.82))],
    5: [
        straight((0.40, 0.22), (0.38, 0.46)) + curve((0.38, 0.46), (0.50, 0.42), (0.64, 0.50), (0.66, 0.65), (0.55, 0.78), (0.36, 0.77)),
        straight((0.40, 0.22), (0.66, 0.21)),
    ],
    6: [
        curve(
            (0.60, 0.20), (0.46, 0.30), (0.37, 0.48), (0.36, 0.66), (0.46, 0.79), (0.60, 0.77), (0.66, 0.65), (0.58, 0.54),
            (0.46, 0.56), (0.38, 0.66),
        )
    ],
    7: [straight((0.33, 0.23), (0.67, 0.22), (0.46, 0.81))],
    8: [
        curve(
            (0.62, 0.28), (0.50, 0.20), (0.39, 0.29), (0.47, 0.44), (0.60, 0.56), (0.63, 0.70), (0.50, 0.80), (0.37, 0.70),
            (0.42, 0.56), (0.55, 0.44), (0.63, 0.31),
        )
    ],
    9: [
        curve((0.63, 0.32), (0.52, 0.21), (0.38, 0.30), (0.38, 0.43), (0.50, 0.49), (0.62, 0.40), (0.64, 0.30))
        + curve((0.64, 0.30), (0.63, 0.45), (0.60, 0.65), (0.55, 0.82))
    ],
}  # fmt: skip
