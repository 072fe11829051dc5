"""Plane geometry of crowded plots, in pixels: points set side by side, labels where they hide nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle, y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def x(self) -> float:
        """The middle, across."""
        return (self.left + self.right) / 2

    @property
    def y(self) -> float:
        """The middle, upwards."""
        return (self.bottom + self.top) / 2

    def overlaps(self, other: Box) -> bool:
        return self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top

    def within(self, outer: Box) -> bool:
        return outer.left <= self.left and self.right <= outer.right and outer.bottom <= self.bottom and self.top <= outer.top

    def overlap_area(self, other: Box) -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return width * height if width > 0 and height > 0 else 0.0

    def moved(self, dx: float, dy: float = 0.0) -> Box:
        return Box(self.left + dx, self.bottom + dy, self.right + dx, self.top + dy)


def side_by_side(boxes: Sequence[Box], step: float, walls: Sequence[float] = ()) -> list[float]:
    """Return how far to move each box sideways so that none overlaps: the first stays, the next go right and left in turn.

    No box's middle is moved across a wall; one that finds no place stays where it is.
    """
    placed: list[Box] = []
    shifts: list[float] = []
    for box in boxes:
        shift = 0.0
        for dx in (sign * k * step for k in range(len(boxes) + 1) for sign in ((1, -1) if k else (1,))):
            crossed = any((box.x <= wall) != (box.x + dx <= wall) for wall in walls)
            if not crossed and not any(box.moved(dx).overlaps(other) for other in placed):
                shift = dx
                break
        placed.append(box.moved(shift))
        shifts.append(shift)
    return shifts


def label_spots(sizes: Sequence[tuple[float, float]], owners: Sequence[Box], obstacles: Iterable[Box], frame: Box) -> list[Box]:
    """A box for each label (width, height) near its owner that overlaps neither obstacle nor label, inside the frame.

    The nearest free spot wins; where there is none, the one that hides least.
    """
    taken = [*obstacles]
    spots = []
    for size, owner in zip(sizes, owners, strict=True):
        candidates = [spot for spot in around(owner, size) if spot.within(frame)] or [around(owner, size)[0]]
        free = next((spot for spot in candidates if not any(spot.overlaps(other) for other in taken)), None)
        best = free or min(candidates, key=lambda spot: sum(spot.overlap_area(other) for other in taken))
        taken.append(best)
        spots.append(best)
    return spots


def around(owner: Box, size: tuple[float, float]) -> list[Box]:
    """Boxes of a size around an owner, the nearest first: above, below, beside, then wider and wider rings."""
    width, height = size
    half_width, half_height = (owner.right - owner.left + width) / 2, (owner.top - owner.bottom + height) / 2
    spots = []
    for gap in (3, 8, 15, 24, 35, 48, 64, 82, 102, 125, 150):
        for angle in (90, 270, 0, 180, 60, 120, 300, 240, 30, 150, 330, 210):
            cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            dx, dy = cosine * (half_width + gap), sine * (half_height + gap)
            spots.append(Box(-width / 2, -height / 2, width / 2, height / 2).moved(owner.x + dx, owner.y + dy))
    return spots
