"""A picture of one digit in MNIST's form: white ink on black, fitted into 20×20, its centre of mass in the middle of 28×28.

MNIST was made that way from black-and-white scans; here the ink is first told from the paper, whatever their colours and light. What is
found is looked at again from close by, so that noise and specks are judged by the size of the digit and not by that of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from budgetnet.inference.digit_ink import PLANE, WINDOWS, Ink, around, coherence, find_ink, stroke_depth
from budgetnet.inference.digit_parts import longest_side
from budgetnet.inference.errors import InputError

__all__ = ["DigitForm", "mnist_form"]

SIDE, BOX = 28, 20
WORKED_ON = 256  # pixels of the longer side that suffice; photographs are reduced to them
LOOKS = 4
CLOSER = 0.75  # of a picture's longer side: what is found is looked at from closer by if it takes less
WIDER = 1.8  # times the widest stroke: the window of the next look's closing
SMALLEST = 6  # pixels of the longer side of a digit that can be told
CONTRAST = 12.0  # levels by which ink must differ from its paper
COHERENCE = 0.2  # correlation of neighbouring pixels: 0 in noise, 0.35 with the finest pen, 0.5 and more with others
STROKES = 0.1  # of the score of what looks like strokes; those of pens have 2 and more
FAINTEST = 0.02  # share of ink below which a pixel is paper
THINNEST = 2.4  # the width of thin strokes after strengthening, in pixels of the box; MNIST's are 1.9 to 4.1 wide, 2.7 in the middle
WIDEST = 0.5  # of the box: strokes of 10,000 of MNIST's digits are wider than that in 0.1 % and have more holes in 0.05 %
HOLES = 2  # of an 8
SMALL_HOLE = 3  # pixels of MNIST's form: smaller ones are no loops
CUT_OFF = "the digit touches the picture's edge and may be cut off: leave some paper around it to be sure"
NO_STROKES = "there may be no digit on the picture: what was read is a filled area and not strokes"
TOO_MANY_HOLES = "there may be no digit on the picture, or a line or a circle touches it: what was read has more loops than any digit"
SEVERAL = "there may be several digits on the picture; the largest one near the middle was read: cut one digit out to be sure"

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class DigitForm:
    """``image``, uint8 (28, 28), is the digit as MNIST would have it; ``warning`` is a sentence where another one may be meant."""

    image: npt.NDArray[np.uint8]
    warning: str | None = None


def mnist_form(picture: npt.NDArray[np.uint8]) -> DigitForm:
    """Return the digit in ``picture``, uint8 (H, W) grey or (H, W, 3) RGB of any size and any two colours, in MNIST's form.

    Raises InputError for another shape or type, and for a picture on which no digit can be told from the paper.
    """
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)) or 0 in picture.shape:
        raise InputError(f"the picture is {picture.dtype} {picture.shape}; expected uint8 (H, W) or (H, W, 3), grey or RGB, of any size")
    ink, factor, several = _looked_at(picture)
    if not coherence(ink.share, ink.digit) >= COHERENCE or ink.score < STROKES * np.sqrt(ink.contrast * longest_side(ink.digit)):
        raise InputError(
            "there is nothing but noise on the picture; expected one digit: write it bolder, or take the picture in more light"
        )
    size = longest_side(ink.digit) * factor
    if size < SMALLEST:
        raise InputError(f"the digit is {size} pixels large; expected {SMALLEST} at least: take the picture from closer by")
    image = _placed(*_strengthened(ink.share, ink.digit))
    told = [SEVERAL] * several + [CUT_OFF] * _cut_off(ink.digit) + _no_digit(image)
    return DigitForm(image, "; ".join(told) or None)


def _cut_off(digit: Mask) -> bool:
    """Tell whether the digit touches the picture's edge.

    Opposite sides are of a picture cut close to its digit, three corners of a frame.
    """
    top, bottom, left, right = (bool(side.any()) for side in (digit[0], digit[-1], digit[:, 0], digit[:, -1]))
    close = (top and bottom) or (left and right)
    return bool(digit[[0, 0, -1, -1], [0, -1, 0, -1]].sum() >= 3) or ((top or bottom or left or right) and not close)


def _no_digit(image: npt.NDArray[np.uint8]) -> list[str]:
    """Why ``image``, in MNIST's form, may be no digit."""
    ink = np.pad(image > 127, 1)
    areas = np.bincount(ndimage.label(~ink)[0].ravel())[1:]
    wide = 2 * float(ndimage.distance_transform_edt(ink).max()) > WIDEST * BOX
    return [NO_STROKES] * wide + [TOO_MANY_HOLES] * (int((areas >= SMALL_HOLE).sum()) - 1 > HOLES)


def _looked_at(picture: npt.NDArray[np.uint8]) -> tuple[Ink, int, bool]:
    """The digit, by how much the picture was reduced for it, and whether there were others. Raises InputError where there is no ink."""
    windows: tuple[float, ...] = WINDOWS
    axis, several = None, False
    for look in range(1, LOOKS + 1):
        factor = -(-max(picture.shape[:2]) // WORKED_ON)
        ink = find_ink(_reduced(picture, factor), _reduced(_without_specks(picture), factor), windows, axis)
        if ink is None or not ink.contrast >= CONTRAST:
            raise InputError(
                f"there is nothing on the picture: no ink differs from the paper by {CONTRAST:.0f} of 255 levels; expected one digit in "
                "another colour than its paper: write it darker, or take the picture in more light"
            )
        several = several or ink.several
        closer = picture[around(ink.digit, 1, factor), around(ink.digit, 0, factor)]
        farther = max(closer.shape[:2]) > CLOSER * max(picture.shape[:2])
        if look == LOOKS or (farther and look > 1):
            return ink, factor, several
        picture = picture if farther else closer
        windows = (WIDER * ink.thickest * factor / max(picture.shape[:2]) if ink.window else PLANE,)
        axis = ink.axis
    raise AssertionError("the last look returns")


def _reduced(picture: npt.NDArray[np.uint8], factor: int) -> Floats:
    """The colours (h, w, 3) as averages over areas."""
    return np.asarray(Image.fromarray(picture).convert("RGB").reduce(factor), dtype=np.float32)


def _without_specks(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Every pixel brought between the least and the greatest of its eight neighbours: thin strokes stay, single pixels go."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0))[: picture.ndim], mode="symmetric")
    neighbours = [padded[top : top + height, left : left + width] for top in range(3) for left in range(3) if (top, left) != (1, 1)]
    return np.clip(picture, np.minimum.reduce(neighbours), np.maximum.reduce(neighbours))


# --- MNIST's strokes and place ----------------------------------------------------------------------------------------


def _strengthened(ink: Floats, digit: Mask) -> tuple[Floats, Mask]:
    """Grey levels from 0 to 1 of the digit and nothing else, its strokes wide enough to survive the reduction; and its mask."""
    longest = longest_side(digit)
    width = 4 * float(stroke_depth(digit)[digit].mean()) - 1  # a stroke's mean depth is a quarter of its width
    more = (THINNEST * longest / BOX - width) / 2 / (1 - THINNEST / BOX)  # on either side; the box grows with the strokes
    pad = 2 + max(0, int(more))
    ink, digit = np.pad(ink, pad), np.pad(digit, pad)
    outside = ndimage.distance_transform_edt(~digit)
    grey = np.where(outside <= 1.5 * max(1.0, longest / BOX), np.where(ink < FAINTEST, 0, np.minimum(ink, 1)), 0)
    if more > 0 and longest > BOX:
        grey = np.maximum(grey, np.clip(more + 1 - outside, 0, 1))
        digit = outside <= more + 0.5
    return grey.astype(np.float32), digit


def _placed(grey: Floats, digit: Mask) -> npt.NDArray[np.uint8]:
    """``grey`` resized so that the digit fits 20×20, with its centre of mass in pixel (14, 14) of 28×28, where MNIST has it."""
    scale = longest_side(digit) / BOX
    margin = 2 + int(SIDE * scale)
    top, left = (float(at) + 0.5 - (SIDE / 2 + 0.5) * scale + margin for at in ndimage.center_of_mass(grey))
    if scale == 1:  # whole pixels, so that what already has MNIST's form stays as it is
        top, left = round(top), round(left)
    image: Any = Image.fromarray(np.pad(grey, margin))
    area = (left, top, left + SIDE * scale, top + SIDE * scale)
    resized = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX if scale > 2 else Image.Resampling.BICUBIC, area))
    return np.rint(np.clip(resized, 0, 1) * 255).astype(np.uint8)
