"""Ruled lines: straight lines from one edge of a picture to the opposite one, found and taken out of the ink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["Line", "erased", "ruled_lines"]

SMALLEST = 40  # pixels of a picture's sides below which ruled lines are not looked for
TILTS = np.tan(np.deg2rad(np.arange(-10, 11)))
COVERED = 0.6  # of its length that a line must be seen on; digits cover part of it
THICKEST = 0.04  # of the picture's longer side
END = 0.1  # of the picture's width on either side, which a line must reach; a digit's straight strokes do not
UNEVEN = 1.5  # times its median depth: the most that is taken away of a line, so that ink on it stays

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Line:
    """A line through (``at``, middle of the picture), ``tilt`` rows lower per column; ``upright`` exchanges rows and columns."""

    at: int
    tilt: float
    upright: bool

    def shifts(self, length: int) -> npt.NDArray[np.int_]:
        return _shifts(self.tilt, length)


def ruled_lines(depth: Floats) -> list[Line]:
    """Return the ruled lines in ``depth``, (h, w): how much darker each pixel is than its paper."""
    if min(depth.shape) < SMALLEST:
        return []
    level = max(3.0, 1.5 * _noise(depth), 0.08 * float(np.percentile(depth, 99.5)))
    return [line for upright in (False, True) for line in _level_lines(depth.T if upright else depth, level, upright)]


def erased(depth: Floats, lines: list[Line]) -> tuple[Floats, Mask]:
    """Return ``depth`` without ``lines``, strokes that cross them kept, and the mask of the pixels that were changed."""
    depth, changed = depth.copy(), np.zeros(depth.shape, bool)
    for line in lines:
        _erase(depth.T if line.upright else depth, changed.T if line.upright else changed, line)  # views: both arrays change
    return depth, changed


def _noise(depth: Floats) -> float:
    seen = depth[depth > 0]
    return float(np.median(seen)) if seen.size else 0.0


def _shifts(tilt: float, length: int) -> npt.NDArray[np.int_]:
    return np.rint((np.arange(length) - length / 2) * tilt).astype(int)


def _level_lines(depth: Floats, level: float, upright: bool) -> list[Line]:
    """Nearly horizontal lines, the most complete first: a Hough transform over ``TILTS`` of what is thin in the vertical direction."""
    height, width = depth.shape
    step, end = max(3, int(THICKEST * max(depth.shape))), max(4, int(END * width))
    thin = depth - np.minimum(np.roll(depth, step, 0), np.roll(depth, -step, 0)) > level
    if min(thin[:, part].any(0).mean() for part in (slice(end), slice(-end, None))) < 0.4:
        return []
    covered = np.stack([_covered(thin, tilt, end) for tilt in TILTS])
    found: list[Line] = []
    for place in np.argsort(-covered, axis=None):
        tilt, row = divmod(int(place), height)
        if covered[tilt, row] < COVERED:
            break
        if all(abs(row - line.at) > 2 for line in found):
            found.append(Line(row, float(TILTS[tilt]), upright))
    return found


def _covered(thin: Mask, tilt: float, end: int) -> Floats:
    """The share of each row's line, (h,), that ``thin`` covers; 0 where the line misses an end or leaves the picture."""
    height, width = thin.shape
    rows = np.arange(height)[:, None] + _shifts(tilt, width)
    inside = (rows >= 0) & (rows < height)
    seen = thin[np.clip(rows, 0, height - 1), np.arange(width)] & inside
    seen[1:], seen[:-1] = seen[1:] | seen[:-1], seen[:-1] | seen[1:]
    share = [seen[:, part].sum(1) / np.maximum(inside[:, part].sum(1), 1) for part in (slice(None), slice(end), slice(-end, None))]
    whole = (inside.sum(1) > width / 2) & (np.minimum(share[1], share[2]) > 0.4)
    return np.where(whole, share[0], 0).astype(np.float32)


def _erase(depth: Floats, changed: Mask, line: Line) -> None:
    height, width = depth.shape
    thickest = max(3, int(THICKEST * max(depth.shape)))
    reach, columns = thickest + 2, np.arange(width)
    rows = np.clip(line.at + np.arange(-reach, reach + 1)[:, None] + line.shifts(width), 0, height - 1)
    band = depth[rows, columns]
    profile = np.median(band, axis=1)
    first = last = reach - 2 + int(np.argmax(profile[reach - 2 : reach + 3]))
    base = min(profile[0], profile[-1])
    edge = base + 0.25 * (profile[first] - base)
    while first > 0 and profile[first - 1] > edge:
        first -= 1
    while last < 2 * reach and profile[last + 1] > edge:
        last += 1
    if last - first >= thickest + 1:
        return
    first, last = max(1, first - 1), min(2 * reach - 1, last + 1)
    inner = band[first : last + 1]
    along = ndimage.median_filter(inner, size=(1, max(9, width // 4) | 1), mode="nearest")
    rest = inner - 1.3 * np.minimum(along, UNEVEN * np.median(inner, axis=1, keepdims=True))
    crossing = np.minimum(*(ndimage.maximum_filter1d(band[row], 3) for row in (first - 1, last + 1)))  # a stroke is on both sides
    depth[rows[first : last + 1], columns] = np.minimum(inner, np.maximum(np.maximum(rest, 0), crossing))
    changed[rows[first : last + 1], columns] = True
