"""Expected time of a batch, learned from the batches that a model has computed."""

from __future__ import annotations

import bisect

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
NEWEST = 0.1  # the weight of the newest measurement


class Speed:
    """Seconds by batch size; a size without measurement costs as much per image as the nearest measured one."""

    def __init__(self) -> None:
        self._per_image: list[float | None] = [None] * len(SIZES)

    def learn(self, images: int, seconds: float) -> None:
        place = self._place(images)
        known, now = self._per_image[place], seconds / images
        self._per_image[place] = now if known is None else known + NEWEST * (now - known)

    def expect(self, images: int) -> float:
        """Return the seconds for a batch of so many images; infinite before the first measurement."""
        place = self._place(images)
        known = self._per_image[place]
        if known is None:
            seen = [(abs(other - place), value) for other, value in enumerate(self._per_image) if value is not None]
            known = min(seen)[1] if seen else float("inf")
        return images * known

    @staticmethod
    def _place(images: int) -> int:
        return min(bisect.bisect_left(SIZES, images), len(SIZES) - 1)
