"""How long a model takes for a batch, learnt from the batches that it has computed."""

from __future__ import annotations

import bisect

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
NEWEST = 0.1  # the weight of the newest measurement


class Speed:
    """Seconds by batch size; a size that was not seen yet is taken to cost as much per image as the nearest that was."""

    def __init__(self) -> None:
        self._per_image: list[float | None] = [None] * len(SIZES)

    def learn(self, images: int, seconds: float) -> None:
        place = self._place(images)
        known, now = self._per_image[place], seconds / images
        self._per_image[place] = now if known is None else known + NEWEST * (now - known)

    def expect(self, images: int) -> float:
        """Seconds for a batch of so many images; infinite before anything was learnt."""
        place = self._place(images)
        known = self._per_image[place]
        if known is None:
            seen = [(abs(other - place), value) for other, value in enumerate(self._per_image) if value is not None]
            known = min(seen)[1] if seen else float("inf")
        return images * known

    @staticmethod
    def _place(images: int) -> int:
        return min(bisect.bisect_left(SIZES, images), len(SIZES) - 1)
