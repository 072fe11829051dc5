"""Ink and paper: where the digit on a picture is, and how much ink is in each pixel.

Neither the paper's colour nor its light is known. Several estimates of the paper are tried, for dark ink and for light ink: a plane
(evenly shaded paper), and morphological closings, which follow shadow edges and the edges of sheets and remove what is narrower than
their window. The estimate wins whose ink looks most like strokes: long and thin, of high contrast, on paper that is smooth nearby.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from budgetnet.inference.digit_lines import erased, ruled_lines
from budgetnet.inference.digit_parts import digit_parts, longest_side, otsu, without_frames

__all__ = ["PLANE", "Ink", "around", "coherence", "find_ink", "stroke_depth"]

PLANE = 0.0  # the window that stands for a plane
WINDOWS = (PLANE, 0.07, 0.2)  # of a closing, in the picture's longer side; strokes are narrower
FITTED = 2000  # pixels that suffice to fit the paper's plane
FREE = 0.25  # of the picture's area that must be free of ink for its paper to be fitted better than by its border
BLUR = 1 / 560  # of the picture's longer side: half a pixel of the box for a digit that takes half of the picture
LEAST = 0.12  # of the highest contrast found; what has less is not considered
THINNEST = 12.0  # length to width beyond which strokes do not count as more stroke-like
SLOPE = 0.03  # of the contrast: the least by which a pixel at the digit's edge differs from the next, in a blurred picture
FAINTER = 0.5  # of Otsu's threshold: what is darker than that and connected to ink is ink
SHARPER = 1.25  # times as sharp an edge as that of the whole has the darker part of it: the rest is a shadow

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ink:
    """A digit found on a picture of (h, w) pixels.

    ``share`` (h, w): 0 on paper, 1 in the middle of strokes. ``digit`` (h, w): its mask. ``contrast``: levels by which ink differs
    from its paper. ``thickest``: pixels of its widest stroke. ``several``: whether something else may be a digit as well.
    ``axis`` (3,): the direction in colour from ink to paper. ``window``: that of the estimate of the paper that won. ``score`` has no unit.
    """

    share: Floats
    digit: Mask
    contrast: float
    thickest: float
    several: bool
    axis: Floats
    window: float
    score: float


@dataclass(frozen=True, eq=False)
class Sheet:
    """An estimate of the paper: its ``levels`` and what is darker than it, as it is (``raw``) and smooth and cleaned (``depth``)."""

    levels: Floats
    raw: Floats
    depth: Floats
    axis: Floats
    window: float


def find_ink(colours: Floats, clean: Floats, windows: Sequence[float] = WINDOWS, axis: Floats | None = None) -> Ink | None:
    """Return the digit in ``colours``, float (h, w, 3), of which ``clean`` is without specks; None where nothing differs from the paper.

    ``windows`` are those of the estimates of the paper that are tried; ``axis`` is the direction from ink to paper, where it is known.
    """
    blur = BLUR * max(colours.shape)
    soft = ndimage.gaussian_filter(clean, (blur, blur, 0)) if blur > 0.15 else clean
    spread = _widest_spread(soft) if axis is None else axis
    found = [
        (ink, sheet)
        for direction in ((spread, -spread) if axis is None else (axis,))
        for sheet in _sheets(colours @ direction, soft @ direction, windows, direction)
        if (ink := _ink(sheet, _inked(sheet.depth))) is not None
    ]
    if not found:
        return None
    least = LEAST * max(ink.contrast for ink, _ in found)
    return _without_shadow(*max(found, key=lambda one: one[0].score if one[0].contrast > least else 0.0))


def around(digit: Mask, axis: int, factor: int, share: float = 0.5) -> slice:
    """Return where the digit is in the picture that was reduced by ``factor``, with ``share`` of its size on either side."""
    places = np.flatnonzero(digit.any(axis=axis))
    margin = int(longest_side(digit) * share) + 2
    return slice(max(0, int(places[0]) - margin) * factor, (int(places[-1]) + 1 + margin) * factor)


def stroke_depth(digit: Mask) -> Floats:
    """Return the distance of the digit's pixels, (h, w), from its edge; 0 elsewhere."""
    depth = np.zeros(digit.shape, np.float32)
    box = around(digit, 1, 1, 0.0), around(digit, 0, 1, 0.0)
    depth[box] = ndimage.distance_transform_edt(np.pad(digit[box], 1))[1:-1, 1:-1]
    return depth


def coherence(share: Floats, digit: Mask) -> float:
    """Return the correlation of neighbouring pixels around the digit: 0 in noise, 0.5 and more with most pens."""
    near = share[around(digit, 1, 1, 1.5), around(digit, 0, 1, 1.5)]
    if min(near.shape) < 2:
        return 0.0
    near = near - near.mean()
    products = ((near[1:] * near[:-1]).mean() + (near[:, 1:] * near[:, :-1]).mean()) / 2
    return float(products / max(float(near.var()), 1e-9))


def _widest_spread(colours: Floats) -> Floats:
    """The direction in which colours differ most, towards brighter ones: ink and paper may be equally bright."""
    departures = colours.reshape(-1, 3) - np.median(colours.reshape(-1, 3), axis=0)
    _, directions = np.linalg.eigh(departures.T @ departures)
    axis = directions[:, -1]
    return np.asarray(axis if axis.sum() >= 0 else -axis, np.float32)


# --- paper ------------------------------------------------------------------------------------------------------------


def _sheets(grey: Floats, smooth: Floats, windows: Sequence[float], axis: Floats) -> list[Sheet]:
    papers = [_closed(smooth, window) if window else _plane(smooth) for window in windows]
    offsets = [float(np.median(paper - smooth)) for paper in papers]  # a closing lies above noise
    depths = [np.maximum(paper - smooth - offset, 0) for paper, offset in zip(papers, offsets, strict=True)]
    lines = ruled_lines(depths[min(1, len(depths) - 1)])  # lines are thin: the narrowest closing shows them best
    found = []
    for paper, offset, depth, window in zip(papers, offsets, depths, windows, strict=True):
        raw = np.maximum(paper - grey - offset, 0)
        if lines:
            depth, changed = erased(depth, lines)
            raw = np.where(changed, depth, raw)
        if depth.any():
            found.append(Sheet(paper, raw, without_frames(depth), axis, window))
    return found


def _closed(grey: Floats, window: float) -> Floats:
    """The paper where dark things that are narrower than ``window`` are taken away, and nothing else is changed."""
    size = max(3, int(window * max(grey.shape)) | 1)
    return np.asarray(ndimage.minimum_filter(ndimage.maximum_filter(grey, size, mode="nearest"), size, mode="nearest"))


def _plane(grey: Floats) -> Floats:
    """Evenly shaded paper: a plane through the border, and then through all that does not stand out from it."""
    border = np.ones(grey.shape, bool)
    width = 1 + min(border.shape) // 20
    border[width:-width, width:-width] = False
    paper = _fitted(grey, border)
    departure = np.abs(grey - paper)
    free = ~ndimage.binary_dilation(departure > otsu(departure), iterations=2)
    return _fitted(grey, free) if free.mean() > FREE else paper


def _fitted(grey: Floats, free: Mask) -> Floats:
    """A plane through the pixels of ``free``, but for those that stand out."""
    rows, columns = (np.linspace(-1, 1, length, dtype=np.float32) for length in free.shape)
    terms = np.stack(np.broadcast_arrays(np.float32(1), rows[:, None], columns), axis=2)
    places = np.flatnonzero(free)
    places = places[np.linspace(0, len(places) - 1, min(len(places), FITTED)).astype(int)]
    known, values = terms.reshape(-1, 3)[places], grey.ravel()[places]
    plane = np.array([np.median(values), 0, 0], np.float32)
    for _ in range(3):
        off = np.abs(values - known @ plane)
        near = off <= 3 * np.median(off) + 1
        plane = np.linalg.lstsq(known[near], values[near], rcond=None)[0].astype(np.float32)
    return np.asarray(terms @ plane)


# --- ink --------------------------------------------------------------------------------------------------------------


def _ink(sheet: Sheet, mask: Mask) -> Ink | None:
    """The digit in ``mask``, judged; None where there is nothing."""
    digit, number, several = digit_parts(mask)
    if not digit.any():
        return None
    depth, longest = stroke_depth(digit), longest_side(digit)
    mean = float(depth[digit].mean())
    contrast = float(sheet.depth[depth >= mean].mean())  # in the middle of the strokes, where the ink is full
    if contrast <= 0:
        return None
    share = (sheet.raw / contrast).astype(np.float32)
    width = max(1.0, 4 * mean - 1)  # a stroke's mean depth is a quarter of its width
    score = np.sqrt(contrast * longest) * min(longest / width, THINNEST) * _smooth_paper(sheet, digit) ** 2
    score *= min(1.0, max(0.0, coherence(share, digit)) / 0.4) ** 2 * min(1.0, _slope(sheet, digit) / (SLOPE * contrast)) ** 2
    score /= max(1, number - 2)  # digits are seldom in more than two parts, noise is
    if digit[[0, -1]].any() or digit[:, [0, -1]].any():
        score *= 0.3  # cut off
    return Ink(share, digit, contrast, 2 * float(depth.max()), several, sheet.axis, sheet.window, float(score))


def _inked(depth: Floats) -> Mask:
    """Return the pixels darker than Otsu's threshold, and those connected to them and nearly as dark: thin strokes are uneven."""
    level = otsu(depth)
    return np.asarray(ndimage.binary_propagation(depth > level, np.ones((3, 3)), depth > FAINTER * level))


def _slope(sheet: Sheet, digit: Mask) -> float:
    """The median slope of the picture itself at the digit's edge, in levels per pixel: an estimate of the paper may have other edges."""
    near = around(digit, 1, 1, 0.0), around(digit, 0, 1, 0.0)
    edge = digit[near] & ~ndimage.binary_erosion(digit[near])
    return float(np.median(_slopes(sheet.levels[near] - sheet.depth[near])[edge]))


def _slopes(levels: Floats) -> Floats:
    """The steepest slope within a pixel of each pixel; 0 everywhere in a picture that is one pixel high or wide."""
    if min(levels.shape) < 2:
        return np.zeros_like(levels)
    return np.asarray(ndimage.maximum_filter(np.hypot(*np.gradient(levels)), 3))


def _smooth_paper(sheet: Sheet, digit: Mask) -> float:
    """1 for paper that is even around the digit, less the more of what varies there is said to be paper and not ink."""
    near = around(digit, 1, 1, 0.25), around(digit, 0, 1, 0.25)
    paper, ink = (sum(float(np.abs(np.diff(levels[near], axis=axis)).sum()) for axis in (0, 1)) for levels in (sheet.levels, sheet.depth))
    return ink / max(ink + paper, 1e-9)


def _without_shadow(ink: Ink, sheet: Sheet) -> Ink:
    """The darker part of the ink, if its edges are so much sharper that the rest must be a soft shadow; else ``ink``."""
    values = sheet.depth[sheet.depth > otsu(sheet.depth)]
    darker = _ink(sheet, sheet.depth > otsu(values)) if values.size > 50 else None
    if darker is None or longest_side(darker.digit) <= longest_side(ink.digit) / 2:
        return ink
    slopes = _slopes(sheet.depth)
    return darker if _sharpness(darker, sheet, slopes) > SHARPER * _sharpness(ink, sheet, slopes) else ink


def _sharpness(ink: Ink, sheet: Sheet, slopes: Floats) -> float:
    edge = ink.digit & ~ndimage.binary_erosion(ink.digit)
    full = ndimage.maximum_filter(sheet.depth, int(np.clip(int(ink.thickest) | 1, 3, 41)))
    return float((slopes[edge] / np.maximum(full[edge], 1e-6)).mean())
