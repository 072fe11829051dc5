"""A picture of one digit in MNIST's form: white ink on black, fitted into 20×20, its centre of mass in the middle of 28×28.

MNIST was made that way from black-and-white scans; here the ink is first told from the paper, whatever their colours. What is
found is looked at again from close by, so that noise and specks are judged by the size of the digit and not by that of the picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from budgetnet.inference.errors import InputError

__all__ = ["mnist_form"]

SIDE, BOX = 28, 20
WORKED_ON = 256  # pixels of the longer side that suffice; photographs are reduced to them
FITTED = 2000  # pixels that suffice to fit the paper's colour
FREE = 0.25  # of the picture's area that must be free of ink for its paper to be fitted better than by its border
SMALLEST = 6  # pixels of the longer side of a digit that can be told
CONTRAST = 12.0  # levels by which ink must differ from its paper
COHERENCE = 0.2  # correlation of neighbouring pixels: 0 in noise, 0.35 with the finest pen, 0.5 and more with others
PART = 0.08  # of the largest part's area: what is smaller is a speck and not a part of the digit
THINNEST = 2.4  # the width of thin strokes after strengthening, in pixels of the box; MNIST's are 1.9 to 4.1 wide, 2.7 in the middle

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def mnist_form(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The digit in ``picture``, uint8 (H, W) grey or (H, W, 3) RGB of any size and any two colours, as MNIST has them: uint8 (28, 28).

    Raises InputError for another shape or type, and for a picture on which no digit can be told from the paper.
    """
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)) or 0 in picture.shape:
        raise InputError(f"the picture is {picture.dtype} {picture.shape}; expected uint8 (H, W) or (H, W, 3), grey or RGB, of any size")
    for _ in range(3):
        factor = -(-max(picture.shape[:2]) // WORKED_ON)
        ink, digit = _ink(_reduced(picture, factor))
        rows, columns = (_around(digit, axis, factor) for axis in (1, 0))
        closer = picture[rows, columns]
        if max(closer.shape[:2]) > max(picture.shape[:2]) / 2:
            break
        picture = closer
    if _longest(digit) * factor < SMALLEST:
        raise InputError(
            f"the digit is {_longest(digit) * factor} pixels large; expected {SMALLEST} at least: take the picture from closer by"
        )
    return _placed(*_strengthened(ink, digit))


def _reduced(picture: npt.NDArray[np.uint8], factor: int) -> Floats:
    """The colours (h, w, 3) as averages over areas."""
    return np.asarray(Image.fromarray(picture).convert("RGB").reduce(factor), dtype=np.float32)


def _around(digit: Mask, axis: int, factor: int) -> slice:
    """Where the digit is in the picture, which was reduced by ``factor``, with half of its size on either side."""
    places = np.flatnonzero(digit.any(axis=axis))
    margin = _longest(digit) // 2 + 2
    return slice(max(0, int(places[0]) - margin) * factor, (int(places[-1]) + 1 + margin) * factor)


# --- ink and paper ----------------------------------------------------------------------------------------------------


def _ink(colours: Floats) -> tuple[Floats, Mask]:
    """How much ink is where, (h, w), 0 on paper and 1 in the middle of strokes, and the mask of the digit.

    Raises InputError where nothing differs from the paper, or nothing but noise.
    """
    blur = max(colours.shape) / 20 / BOX  # half a pixel of the box for a digit that takes half of the picture
    smooth = ndimage.gaussian_filter(colours, (blur, blur, 0)) if blur > 0.15 else colours
    paper = _paper(smooth, _border(smooth))
    departure = _length(smooth - paper)
    free = ~ndimage.binary_dilation(departure > _otsu(departure), iterations=2)
    if free.mean() > FREE:
        paper = _paper(smooth, free)
        departure = _length(smooth - paper)
    digit = _parts(departure > _otsu(departure))
    direction = (smooth - paper)[_core(digit)].mean(axis=0) if digit.any() else np.zeros(3)
    contrast = float(np.linalg.norm(direction))
    if not contrast >= CONTRAST:
        raise InputError(
            f"there is nothing on the picture: no ink differs from the paper by {CONTRAST:.0f} of 255 levels; expected one digit in "
            "another colour than its paper: write it darker, or take the picture in more light"
        )
    ink = ((colours - paper) @ direction / contrast**2).astype(np.float32)
    if not _coherence(ink, digit) >= COHERENCE:
        raise InputError(
            "there is nothing but noise on the picture; expected one digit: write it bolder, or take the picture in more light"
        )
    return ink, digit


def _paper(colours: Floats, free: Mask) -> Floats:
    """The paper's colour everywhere, (h, w, 3), evenly shaded: a plane through the pixels of ``free`` that do not stand out."""
    rows, columns = (np.linspace(-1, 1, length, dtype=np.float32) for length in free.shape)
    terms = np.stack(np.broadcast_arrays(np.float32(1), rows[:, None], columns), axis=2)
    places = np.flatnonzero(free)
    places = places[np.linspace(0, len(places) - 1, min(len(places), FITTED)).astype(int)]
    known, values = terms.reshape(-1, 3)[places], colours.reshape(-1, 3)[places]
    plane = np.zeros((3, 3), dtype=np.float32)
    plane[0] = np.median(values, axis=0)
    for _ in range(3):
        off = _length(values - known @ plane)
        near = off <= 3 * np.median(off) + 1
        plane = np.linalg.lstsq(known[near], values[near], rcond=None)[0].astype(np.float32)
    return np.asarray(terms @ plane)


def _border(colours: Floats) -> Mask:
    border = np.ones(colours.shape[:2], dtype=bool)
    width = 1 + min(border.shape) // 20
    border[width:-width, width:-width] = False
    return border


def _length(colours: Floats) -> Floats:
    return np.asarray(np.sqrt(np.einsum("...c,...c->...", colours, colours)))


def _otsu(values: Floats) -> float:
    """The threshold that splits ``values`` into the two groups that are farthest apart."""
    counts, edges = np.histogram(values, bins=256)
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    sums = np.cumsum(counts * edges[:-1])
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    apart = below * above * (means[0] - means[1]) ** 2
    return float(edges[1 + int(apart.argmax())]) if apart.any() else float(values.max())


def _parts(mask: Mask) -> Mask:
    """The largest connected part of ``mask`` and what is a meaningful share of it: digits can be broken, specks are not digits."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    kept = areas >= max(1.0, PART * areas.max())
    return np.asarray(kept[labels])


def _core(digit: Mask) -> Mask:
    """The middle of the strokes, where the ink is full."""
    depth = ndimage.distance_transform_edt(digit)
    return np.asarray(depth >= depth[digit].mean())


def _coherence(ink: Floats, digit: Mask) -> float:
    """The correlation of neighbouring pixels around the digit."""
    near = ink[_around(digit, 1, 1), _around(digit, 0, 1)]
    if min(near.shape) < 2:
        return 0.0
    near = near - near.mean()
    products = ((near[1:] * near[:-1]).mean() + (near[:, 1:] * near[:, :-1]).mean()) / 2
    return float(products / max(float(near.var()), 1e-9))


# --- MNIST's strokes and place ----------------------------------------------------------------------------------------


def _strengthened(ink: Floats, digit: Mask) -> tuple[Floats, Mask]:
    """Grey levels from 0 to 1 of the digit and nothing else, its strokes wide enough to survive the reduction; and its mask."""
    longest = _longest(digit)
    width = 4 * float(ndimage.distance_transform_edt(digit)[digit].mean()) - 1  # a stroke's mean depth is a quarter of its width
    more = (THINNEST * longest / BOX - width) / 2 / (1 - THINNEST / BOX)  # on either side; the box grows with the strokes
    pad = 2 + max(0, int(more))
    ink, digit = np.pad(ink, pad), np.pad(digit, pad)
    outside = ndimage.distance_transform_edt(~digit)
    grey = np.where(outside <= 1.5 * max(1.0, longest / BOX), np.clip(ink, 0, 1), 0)
    if more > 0 and longest > BOX:
        grey = np.maximum(grey, np.clip(more + 1 - outside, 0, 1))
        digit = outside <= more + 0.5
    return grey.astype(np.float32), digit


def _longest(digit: Mask) -> int:
    return max(int(np.ptp(np.flatnonzero(digit.any(axis=axis)))) + 1 for axis in (0, 1))


def _placed(grey: Floats, digit: Mask) -> npt.NDArray[np.uint8]:
    """``grey`` resized so that the digit fits 20×20, with its centre of mass in pixel (14, 14) of 28×28, where MNIST has it."""
    scale = _longest(digit) / BOX
    margin = 2 + int(SIDE * scale)
    top, left = (float(at) + 0.5 - (SIDE / 2 + 0.5) * scale + margin for at in ndimage.center_of_mass(grey))
    if scale == 1:  # whole pixels, so that what already has MNIST's form stays as it is
        top, left = round(top), round(left)
    image: Any = Image.fromarray(np.pad(grey, margin))
    area = (left, top, left + SIDE * scale, top + SIDE * scale)
    resized = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX if scale > 2 else Image.Resampling.BICUBIC, area))
    return np.rint(np.clip(resized, 0, 1) * 255).astype(np.uint8)
