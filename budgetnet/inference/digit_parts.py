"""Find the digit in the ink of a picture: no frame, no part cut off at the edge, no underline, no other digit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["digit_parts", "longest_side", "otsu", "without_frames"]

PART = 0.04  # of the digit's area: what is smaller is a speck and not a part of it
SMALLEST = 0.03  # of the picture's longer side
GAP = 0.15  # of the digit's longer side: parts of a broken digit are closer together
BAR = 0.35  # likewise, of the bar of a 5
ROUNDING = 0.01  # levels: numbers that differ by less are equal, and are too close together for NumPy's histogram
OTHER = 0.4  # of the digit's longer side: what is larger may be another digit

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Whole = np.ones((3, 3))  # pixels that touch at a corner are connected


def otsu(values: Floats) -> float:
    """Return the threshold that splits ``values`` into the two groups that are farthest apart (Otsu 1979)."""
    if np.ptp(values) < ROUNDING:
        return float(values.max())
    counts, edges = np.histogram(values, bins=256)
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    sums = np.cumsum(counts * edges[:-1])
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    apart = below * above * (means[0] - means[1]) ** 2
    return float(edges[1 + int(apart.argmax())]) if apart.any() else float(values.max())


def longest_side(mask: Mask) -> int:
    """Return the longer side of the box around ``mask``, in pixels."""
    return max(int(np.ptp(np.flatnonzero(mask.any(axis=axis)))) + 1 for axis in (0, 1))


@dataclass(frozen=True, eq=False)
class Parts:
    """The connected parts of a mask: their labels, (h, w), and an entry for each in the other arrays."""

    labels: npt.NDArray[np.int32]
    boxes: list[tuple[slice, slice]]
    areas: npt.NDArray[np.int_]
    top: npt.NDArray[np.int_]
    bottom: npt.NDArray[np.int_]
    left: npt.NDArray[np.int_]
    right: npt.NDArray[np.int_]

    @classmethod
    def of(cls, mask: Mask) -> Parts:
        labels, number = ndimage.label(mask, Whole)
        boxes = ndimage.find_objects(labels)
        sides = np.array([(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in boxes]).reshape(number, 4)
        return cls(labels, boxes, np.bincount(labels.ravel(), minlength=number + 1)[1:], *sides.T)

    @property
    def longest(self) -> npt.NDArray[np.int_]:
        return np.maximum(self.bottom - self.top, self.right - self.left)

    def mask(self, part: int) -> Mask:
        """The part within its box."""
        return np.asarray(self.labels[self.boxes[part]] == part + 1)

    def within(self, part: int) -> Mask:
        """Of each part, whether its box is within that of ``part``."""
        return (
            (self.top >= self.top[part])
            & (self.bottom <= self.bottom[part])
            & (self.left >= self.left[part])
            & (self.right <= self.right[part])
        )


def without_frames(depth: Floats) -> Floats:
    """Return ``depth``, (h, w), without printed boxes and circles: closed lines around something that is not much smaller."""
    parts = Parts.of(depth > 0.4 * otsu(depth))
    longest = parts.longest
    large = longest >= 0.08 * max(depth.shape)
    for part in map(int, np.flatnonzero(large)):
        inner = large & parts.within(part) & (longest >= 0.35 * longest[part])
        inner[part] = False
        if inner.any():
            box, own = parts.boxes[part], parts.mask(part)
            others = np.isin(parts.labels[box], 1 + np.flatnonzero(inner))
            if (ndimage.binary_fill_holes(own) & others).any():
                depth = depth.copy()
                depth[box][ndimage.binary_dilation(own) & ~others] = 0
    return depth


def digit_parts(mask: Mask) -> tuple[Mask, int, bool]:
    """Return the mask of the digit in the ink of ``mask``, (h, w), in how many parts it is, and whether there may be another digit.

    The digit is the largest part that is near the middle, with the parts close to it that belong to it.
    """
    parts = Parts.of(mask)
    if not parts.boxes:
        return mask, 0, False
    taken = _candidates(parts, mask.shape)
    straight = np.array([taken[part] and _level_and_straight(parts.mask(part)) for part in range(len(taken))])
    main = _main(parts, taken, straight, mask.shape)
    group = _joined(parts, main, taken, straight)
    others = taken & ~straight & (parts.longest >= OTHER * parts.longest[main])
    others[list(group)] = False
    return np.isin(parts.labels, [1 + part for part in group]), len(group), bool(others.any())


def _candidates(parts: Parts, shape: tuple[int, ...]) -> Mask:
    """Parts that are no specks and, if any such is of some size, not cut off by the picture's edge."""
    height, width = shape
    longest = parts.longest
    taken = (parts.areas >= 0.02 * parts.areas.max()) & (longest >= SMALLEST * max(shape))
    if not taken.any():
        taken[:] = True
    whole = taken & (parts.top > 0) & (parts.left > 0) & (parts.bottom < height) & (parts.right < width)
    if whole.any() and longest[whole].max() >= max(0.2 * longest[taken].max(), 0.08 * max(shape)):
        return whole
    return taken


def _main(parts: Parts, taken: Mask, straight: Mask, shape: tuple[int, ...]) -> int:
    """The digit's largest part: long, of much ink, near the middle, no level line."""
    height, width = shape
    away = np.hypot((parts.top + parts.bottom) / 2 / height - 0.5, (parts.left + parts.right) / 2 / width - 0.5)
    weight = np.sqrt(parts.longest * parts.areas) * (1 - 0.5 * away) * np.where(straight, 0.3, 1)
    return int(np.where(taken, weight, -1).argmax())


def _joined(parts: Parts, main: int, taken: Mask, straight: Mask) -> set[int]:
    """``main`` and the parts that belong to it: close by, not as tall beside it, and no line below it."""
    group, size = {main}, int(parts.longest[main])
    before: set[int] = set()
    while group != before:
        before = set(group)
        members = list(group)
        top, bottom = parts.top[members].min(), parts.bottom[members].max()
        left, right = parts.left[members].min(), parts.right[members].max()
        for part in set(map(int, np.flatnonzero(taken & (parts.areas >= PART * parts.areas[main])))) - group:
            box = parts.top[part], parts.bottom[part], parts.left[part], parts.right[part]
            distance = np.hypot(max(0, box[0] - bottom, top - box[1]), max(0, box[2] - right, left - box[3]))
            tall = box[1] - box[0]
            bar = tall <= 0.3 * (bottom - top) and box[1] <= top + 0.4 * (bottom - top) and parts.longest[part] < size
            beside = box[2] >= right - 0.1 * size or box[3] <= left + 0.1 * size
            underline = straight[part] and box[0] >= bottom - 0.12 * size
            if distance <= (BAR if bar else GAP) * size and not underline and not (beside and tall >= 0.5 * (bottom - top)):
                group.add(part)
    return group


def _level_and_straight(part: Mask) -> bool:
    """Tell whether ``part`` is a straight, nearly horizontal line."""
    rows, columns = np.nonzero(part)
    if len(rows) < 5:
        return False
    spread, axes = np.linalg.eigh(np.cov(np.stack([columns, rows])))
    return bool(spread[0] < 0.01 * spread[1] and abs(axes[1, 1]) < 0.35)
