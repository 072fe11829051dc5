"""Decoded pictures of every Pillow mode as 8-bit RGB: upright, opaque, more than 8 bits scaled instead of clipped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

__all__ = ["PixelError", "prepare", "to_rgb"]

STRIP = 64  # rows that are converted at once: copies of the whole picture would double its memory
VISIBLE = 192  # a colour with a channel below can be told from white paper


class PixelError(ValueError):
    """Levels that have no defined white, or values that are not numbers."""


def prepare(image: Image.Image, stretch: bool) -> Image.Image:
    """Return the picture upright (EXIF orientation) and in a mode of 8 bits per channel.

    The rotation is applied to ``image`` itself. Modes I;16, I and F are scaled to 0..255. With ``stretch`` the lowest
    level becomes 0 and the highest 255, as a single picture may have any range. Without it black and white are fixed, as
    pictures of a data set must stay comparable: 0 and 65535 for integers, 0 and 1 for floats. Raises PixelError for
    levels outside these ranges and for NaN and infinity.
    """
    ImageOps.exif_transpose(image, in_place=True)
    if not image.mode.startswith(("I", "F")):
        return image
    levels = np.asarray(image)
    lowest, highest = float(levels.min()), float(levels.max())
    if not np.isfinite([lowest, highest]).all():
        raise PixelError("its levels are not all finite numbers; expected finite levels: replace NaN and infinity")
    black, white = (lowest, highest) if stretch else (0.0, 1.0 if image.mode == "F" else 65535.0)
    if lowest < black or highest > white:
        expected = f"expected {black:g} to {white:g}: scale them, or save 8 bits"
        raise PixelError(f"its levels run from {lowest:g} to {highest:g}; {expected}")
    scale = 255 / (white - black or 1.0)
    strips = (levels[top : top + STRIP].astype(np.float64) for top in range(0, len(levels), STRIP))
    return Image.fromarray(np.concatenate([np.rint((strip - black) * scale).astype(np.uint8) for strip in strips]))


def to_rgb(image: Image.Image, factor: int = 1) -> npt.NDArray[np.uint8]:
    """Return a prepared picture as RGB, uint8 (H, W, 3), averaged over squares of ``factor`` pixels.

    Transparent pixels become white, or black if nothing could be seen on white.
    """
    mode = "RGBA" if image.has_transparency_data else "RGB"
    width, height = image.size
    step = STRIP * factor
    strips = (image.crop((0, top, width, min(height, top + step))) for top in range(0, height, step))
    pixels = np.concatenate([np.asarray(strip.convert(mode).reduce(factor)) for strip in strips])
    return _on_paper(pixels) if mode == "RGBA" else pixels


def _on_paper(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    alpha = pixels[..., 3:] / np.float32(255)
    visible = pixels[pixels[..., 3] > 127][:, :3]
    paper = 0 if len(visible) and visible.min() >= VISIBLE else 255
    return np.rint(pixels[..., :3] * alpha + paper * (1 - alpha)).astype(np.uint8)
