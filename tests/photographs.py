"""Pictures of digits as a telephone would take them, made of MNIST's digits: any size, place, colour and polarity, noise, shading, JPEG."""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Levels = npt.NDArray[np.uint8]
Shares = npt.NDArray[np.float32]

KINDS = ("rotated", "inverted", "coloured", "noisy", "speckled", "shaded", "compressed")
CONTRAST = 120  # levels between ink and paper, over the three colours


def photograph(digit: Levels, rng: np.random.Generator, kinds: Collection[str] | None = None) -> tuple[Levels, frozenset[str]]:
    """A uint8 (H, W, 3) picture of the (28, 28) ``digit``, 3 to 15 times as large and off-centre on a larger canvas.

    ``kinds`` are the disturbances; None draws each with a probability of one half. Returned with the kinds that it has.
    """
    kinds = frozenset(kind for kind in KINDS if rng.random() < 0.5) if kinds is None else frozenset(kinds)
    coverage = on_canvas(enlarged(digit, rng, 12.0 if "rotated" in kinds else 0.0), rng)[..., None]
    paper, ink = colours(rng, "coloured" in kinds, "inverted" in kinds)
    picture = paper + (ink - paper) * coverage
    if "shaded" in kinds:
        picture *= light(picture.shape[:2], rng)[..., None]
    if "noisy" in kinds:
        picture += np.float32(rng.uniform(5, 25)) * rng.standard_normal(picture.shape, dtype=np.float32)
    if "speckled" in kinds:
        spots = rng.random(picture.shape[:2])
        share = rng.uniform(0.002, 0.03)
        picture[spots < share / 2], picture[spots > 1 - share / 2] = 0, 255
    pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return (compressed(pixels, int(rng.integers(30, 95))) if "compressed" in kinds else pixels), kinds


def enlarged(digit: Levels, rng: np.random.Generator, degrees: float) -> Shares:
    """The digit 3 to 15 times as large, turned by up to ``degrees``: how much of each pixel is ink, from 0 to 1."""
    side = round(28 * rng.uniform(3, 15))
    image = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    turned = np.asarray(image.rotate(rng.uniform(-degrees, degrees), Image.Resampling.BICUBIC), dtype=np.float32)
    return turned / np.float32(255)


def on_canvas(coverage: Shares, rng: np.random.Generator) -> Shares:
    """The digit anywhere on a canvas that is up to twice as high and up to twice as wide."""
    side = len(coverage)
    height, width = (round(side * rng.uniform(1.0, 2.0)) for _ in range(2))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    canvas = np.zeros((height, width), np.float32)
    canvas[top : top + side, left : left + side] = coverage
    return canvas


def colours(rng: np.random.Generator, coloured: bool, inverted: bool) -> tuple[Shares, Shares]:
    """Paper and ink: black on white, or any two colours that differ enough; ``inverted`` has the lighter one as ink."""
    dark, bright = np.zeros(3), np.full(3, 255.0)
    while coloured:
        dark, bright = sorted(rng.uniform(0, 255, (2, 3)), key=np.sum)
        if np.linalg.norm(dark - bright) >= CONTRAST:
            break
    paper, ink = (dark, bright) if inverted else (bright, dark)
    return paper.astype(np.float32), ink.astype(np.float32)


def light(shape: tuple[int, ...], rng: np.random.Generator) -> Shares:
    """How much light falls where: a slope in any direction, down to 55 % at the darkest corner."""
    rows, columns = (np.linspace(-1, 1, length, dtype=np.float32) for length in shape)
    angle = rng.uniform(0, 2 * np.pi)
    slope = rows[:, None] * np.float32(np.sin(angle)) + columns * np.float32(np.cos(angle))
    fall = rng.uniform(0.1, 0.45)
    return 1 - np.float32(fall) * (slope - slope.min()) / np.ptp(slope)


def compressed(picture: Levels, quality: int) -> Levels:
    """The picture after JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


# Digits as somebody would draw them with a mouse: lines through points (x, y) of a field 100 wide and 140 high.
RING = [(50 + 40 * np.sin(a), 70 - 65 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 40)]
UPPER = [(50 + 30 * np.sin(a), 38 - 33 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 30)]
LOWER = [(50 + 36 * np.sin(a), 103 - 34 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 30)]
DRAWN = (
    [RING],
    [[(55, 3), (48, 138)]],
    [[(12, 35), (20, 14), (45, 3), (75, 12), (82, 38), (65, 72), (30, 110), (8, 134)], [(8, 134), (92, 130)]],
    [[(14, 16), (45, 3), (78, 14), (80, 40), (60, 60), (36, 65)], [(36, 65), (72, 74), (88, 100), (70, 130), (38, 137), (10, 122)]],
    [[(30, 5), (12, 82), (90, 78)], [(72, 10), (66, 138)]],
    [[(84, 5), (26, 8), (20, 62), (55, 56), (84, 78), (82, 112), (54, 136), (12, 126)]],
    [[(72, 4), (42, 30), (22, 72), (18, 108)], [(50 + 33 * np.sin(a), 104 - 33 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 30)]],
    [[(8, 12), (90, 8), (62, 62), (42, 138)]],
    [UPPER, LOWER],
    [[(46 + 32 * np.sin(a), 38 - 34 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 30)], [(78, 38), (76, 80), (66, 137)]],
)  # fmt: skip


def drawn(digit: int, pen: int, side: int = 280, paper: int = 255, ink: int = 0) -> Levels:
    """A uint8 (side, side) drawing of ``digit`` with a round pen ``pen`` pixels wide, not quite in the middle."""
    image = Image.new("L", (side, side), paper)
    draw = ImageDraw.Draw(image)
    unit = side / 200
    for line in DRAWN[digit]:
        points = [(40 * unit + x * unit, 25 * unit + y * unit) for x, y in line]
        draw.line(points, fill=ink, width=pen, joint="curve")
        for x, y in points:
            draw.ellipse([x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2], fill=ink)
    return np.asarray(image)
