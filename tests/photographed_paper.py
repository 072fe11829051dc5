"""Photographs of a digit on paper under the conditions that telephones meet: shadows, ruled paper, tables, boxes, neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from tests.photographs import DRAWN, Levels, compressed

HEIGHT, WIDTH = 320, 360  # pixels of a picture
GREY = (1.0, 1.0, 1.0)
BLUE, RED = (1.0, 0.75, 0.35), (0.25, 1.0, 1.0)  # what a coloured line takes of red, green and blue light

Shares = npt.NDArray[Any]
Source = Callable[[int, int, np.random.Generator], Shares]
"""Draws a digit of a height in pixels: the share of ink in each pixel, (H, W), cut to the digit."""


# --- digits -----------------------------------------------------------------------------------------------------------


def cropped(ink: Shares) -> Shares:
    rows, columns = (np.flatnonzero((ink > 0.1).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def scaled(ink: Shares, height: int) -> Shares:
    image = Image.fromarray(cropped(ink))
    size = max(1, round(image.width * height / image.height)), height
    return np.clip(np.asarray(image.resize(size, Image.Resampling.BICUBIC)), 0, 1)


def from_font(path: Path) -> Source:
    font = ImageFont.truetype(str(path), 200)

    def source(digit: int, height: int, rng: np.random.Generator) -> Shares:
        image = Image.new("L", (600, 600))
        ImageDraw.Draw(image).text((200, 150), str(digit), fill=255, font=font)
        turned = image.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC)
        return scaled(np.asarray(turned, np.float32) / 255, height)

    return source


def from_images(images: Levels, labels: npt.NDArray[np.int64]) -> Source:
    """Digits of a data set, uint8 (N, 28, 28), enlarged."""
    places = [np.flatnonzero(labels == digit) for digit in range(10)]

    def source(digit: int, height: int, rng: np.random.Generator) -> Shares:
        image = Image.fromarray(images[rng.choice(places[digit])])
        large = image.resize((height * 2, height * 2), Image.Resampling.BICUBIC)
        return scaled(np.asarray(large, np.float32) / 255, height)

    return source


def with_pen(pixels: float | None = None) -> Source:
    """The drawn strokes of tests/photographs.py, distorted a little; the pen is ``pixels`` wide, or 4 to 12 % of the height."""

    def source(digit: int, height: int, rng: np.random.Generator) -> Shares:
        pen = 4 * (rng.uniform(0.04, 0.12) * height if pixels is None else pixels)
        unit = 4 * (height / 140)
        slant, stretch, wave = rng.uniform(-0.2, 0.2), rng.uniform(0.8, 1.15), rng.uniform(-4, 4, 2)
        image = Image.new("L", (round(220 * unit), round(180 * unit)))
        draw = ImageDraw.Draw(image)
        for line in DRAWN[digit]:
            points = [(60 + stretch * x - slant * (y - 70) + wave[0] * np.sin(y / 30), 20 + y + wave[1] * np.sin(x / 25)) for x, y in line]
            points = [(x * unit, y * unit) for x, y in points]
            draw.line(points, fill=255, width=max(1, round(pen)), joint="curve")
            for x, y in points:
                draw.ellipse([x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2], fill=255)
        return cropped(np.asarray(image.reduce(4), np.float32) / 255)

    return source


# --- light and paper --------------------------------------------------------------------------------------------------


def coordinates() -> tuple[Shares, Shares]:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return rows, columns


def half_plane(rng: np.random.Generator, near: tuple[float, float]) -> Shares:
    """1 on one side of a line in any direction that passes within some pixels of ``near``, 0 on the other; a soft edge."""
    rows, columns = coordinates()
    angle = rng.uniform(0, 2 * np.pi)
    distance = (rows - near[0]) * np.sin(angle) + (columns - near[1]) * np.cos(angle) - rng.uniform(-40, 40)
    return np.clip(distance / rng.uniform(1, 4) + 0.5, 0, 1).astype(np.float32)


def hand(rng: np.random.Generator) -> Shares:
    """The soft shadow of a hand that reaches in from the right or from below."""
    image = Image.new("L", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    top = rng.uniform(0.3, 0.7) * HEIGHT
    draw.ellipse([WIDTH * 0.65, top, WIDTH * 1.4, top + HEIGHT * 0.8], fill=255)
    for finger in range(4):
        start = np.array([WIDTH * 0.8, top + 30 + 35 * finger])
        end = start - [rng.uniform(90, 190), rng.uniform(10, 70)]
        draw.line([*start, *end], fill=255, width=int(rng.integers(22, 34)))
    shadow = np.asarray(image, np.float32) / 255
    shadow = np.rot90(np.asarray(Image.fromarray(shadow).resize((HEIGHT, WIDTH))), -1) if rng.random() < 0.5 else shadow
    return ndimage.gaussian_filter(shadow, rng.uniform(5, 14))


def rules(rng: np.random.Generator, spacing: float, thickness: float, vertical: bool = False) -> Shares:
    """Parallel lines, nearly horizontal or nearly vertical."""
    rows, columns = coordinates()
    tilt = np.deg2rad(rng.uniform(-4, 4))
    along, across = (rows, columns) if vertical else (columns, rows)
    distance = (across * np.cos(tilt) + along * np.sin(tilt) + rng.uniform(0, spacing)) % spacing - spacing / 2
    return np.clip(thickness / 2 + 0.5 - np.abs(distance), 0, 1).astype(np.float32)


def pattern(rng: np.random.Generator) -> Shares:
    """A tablecloth with checks or stripes, or speckled stone, (H, W, 3) levels."""
    rows, columns = coordinates()
    angle, size = rng.uniform(0, np.pi), rng.uniform(8, 30)
    along = (rows * np.sin(angle) + columns * np.cos(angle)) % (2 * size)
    across = (rows * np.cos(angle) - columns * np.sin(angle)) % (2 * size)
    kind = rng.integers(3)
    if kind == 2:
        share = ndimage.gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), rng.uniform(1, 3)) > 0
    else:
        share = (along < size) if kind else (along < size) ^ (across < size)
    first, second = rng.uniform(20, 200, 3), rng.uniform(20, 200, 3)
    return np.asarray(np.where(share[..., None], first, second), np.float32)


def table(rng: np.random.Generator, wooden: bool) -> Shares:
    """A dark surface, (H, W, 3) levels, with a grain where it is wooden."""
    if not wooden:
        return np.full((HEIGHT, WIDTH, 3), rng.uniform(15, 75), np.float32) + rng.uniform(-8, 8, 3).astype(np.float32)
    rows, columns = coordinates()
    if rng.random() < 0.5:
        rows, columns = columns, rows
    noise = ndimage.gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), (2, 40) if rows[0, 0] == rows[0, 1] else (40, 2))
    grain = np.sin(rows / rng.uniform(3, 9) + 60 * noise + 0.01 * columns) + 30 * noise
    brown = np.array([135, 90, 55], np.float32) * np.float32(rng.uniform(0.6, 1.2))
    return np.asarray(brown + 14 * grain[..., None], np.float32)


def paper_on(rng: np.random.Generator, box: tuple[int, int, int, int]) -> Shares:
    """1 on a sheet that holds ``box`` (top, left, bottom, right) and leaves some of the table around it, 0 beside it."""
    top, left, bottom, right = box
    image = Image.new("L", (WIDTH, HEIGHT))
    gaps = [max(3.0, at * rng.uniform(0.15, 0.6)) for at in (left, top, WIDTH - right, HEIGHT - bottom)]
    corners = [(gaps[0], gaps[1]), (WIDTH - gaps[2], gaps[1]), (WIDTH - gaps[2], HEIGHT - gaps[3]), (gaps[0], HEIGHT - gaps[3])]
    ImageDraw.Draw(image).polygon([(x + rng.uniform(-5, 5), y + rng.uniform(-5, 5)) for x, y in corners], fill=255)
    return ndimage.gaussian_filter(np.asarray(image, np.float32) / 255, 0.7)


def perspective(picture: Shares, rng: np.random.Generator) -> Shares:
    """The picture from an angle: its corners move by up to 12 % of its sides."""
    source = [(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)]
    target = [(x + rng.uniform(-0.12, 0.12) * WIDTH, y + rng.uniform(-0.12, 0.12) * HEIGHT) for x, y in source]
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    terms = np.linalg.solve(np.array(rows), np.array(target).ravel())
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    fill = tuple(int(level) for level in picture[5, 5])
    turned = image.transform((WIDTH, HEIGHT), Image.Transform.PERSPECTIVE, tuple(terms), Image.Resampling.BICUBIC, fillcolor=fill)
    return np.asarray(turned, np.float32)


# --- pictures ---------------------------------------------------------------------------------------------------------

SHARES = {"shadow edge, 80 %": 0.8, "shadow edge, 70 %": 0.7, "shadow edge, 55 %": 0.55}
CONDITIONS = (
    "clean",
    "gradient",
    "light grid",
    "blur",
    "perspective",
    "noise",
    *SHARES,
    "hand shadow",
    "vignette",
    "glare",
    "squared paper, thin pen",
    "pencil on lines",
    "ruled, red margin",
    "dark table",
    "wooden table",
    "patterned table",
    "strip of table",
    "printed box",
    "underline",
    "neighbour at the edge",
    "several digits",
)
PEN = 4.0  # pixels, of the thin pen


def photograph(digit: int, condition: str, sources: Sequence[Source], rng: np.random.Generator) -> Levels:
    """A uint8 (320, 360, 3) photograph of ``digit``, drawn by one of ``sources``, under ``condition``.

    The digit is 90 to 190 pixels high and stands anywhere. Every picture is a little noisy and compressed as JPEG.
    """
    source = with_pen(PEN) if condition == "squared paper, thin pen" else sources[int(rng.integers(len(sources)))]
    several = condition == "several digits"
    height = int(rng.integers(90, 130 if several else 190))
    shape = source(digit, height, rng)[:, : WIDTH - 40]
    height, width = shape.shape
    top = int(rng.integers(20, HEIGHT - height - 19))
    left = int(rng.integers(20, WIDTH - width - 19))
    if several:
        left = int(np.clip((WIDTH - width) // 2 + rng.integers(-15, 16), 20, WIDTH - width - 19))
    box = (top, left, top + height, left + width)
    ink = np.zeros((HEIGHT, WIDTH), np.float32)
    ink[top : top + height, left : left + width] = shape
    middle = top + height / 2, left + width / 2

    def beside(other: Shares, at_top: int, at_left: int) -> None:
        rows, columns = slice(max(0, at_top), at_top + other.shape[0]), slice(max(0, at_left), at_left + other.shape[1])
        seen = other[max(0, -at_top) :, max(0, -at_left) :]
        region = ink[rows, columns]
        np.maximum(region, seen[: region.shape[0], : region.shape[1]], out=region)

    if several:
        for side in (-1, 1):
            other = source(int(rng.integers(10)), round(height * rng.uniform(0.55, 0.75)), rng)
            gap = round(height * rng.uniform(0.18, 0.35))
            at_left = left + width + gap if side > 0 else left - gap - other.shape[1]
            beside(other, top + int(rng.integers(0, height - other.shape[0])), at_left)
    if condition == "neighbour at the edge":
        other = source(int(rng.integers(10)), round(height * rng.uniform(0.8, 1.1)), rng)
        at_left = min(-round(other.shape[1] * rng.uniform(0.3, 0.6)), left - 12 - other.shape[1])
        if rng.random() < 0.5:
            at_left = max(WIDTH - round(other.shape[1] * rng.uniform(0.4, 0.7)), left + width + 12)
        beside(other, top + int(rng.integers(-20, 21)), at_left)

    paper = np.float32(rng.uniform(200, 252)) + rng.uniform(-6, 6, 3).astype(np.float32)
    dark = rng.uniform(0.55, 0.9) * np.array([(1.0, 1.0, 1.0), (1.0, 0.9, 0.45)][int(rng.integers(2))], np.float32)
    if condition == "pencil on lines":
        dark = np.full(3, rng.uniform(0.25, 0.45), np.float32)
    picture = np.broadcast_to(paper, (HEIGHT, WIDTH, 3)).copy()

    def line(share: Shares, strength: float, colour: Sequence[float] = GREY) -> None:
        picture[:] *= 1 - share[..., None] * np.float32(strength) * np.array(colour, np.float32)

    spacing = rng.uniform(24, 44)
    if condition == "light grid":
        for vertical in (False, True):
            line(rules(rng, spacing, 1.2, vertical), rng.uniform(0.04, 0.1))
    elif condition == "squared paper, thin pen":
        strength, colour = rng.uniform(0.15, 0.4), (GREY, BLUE)[int(rng.integers(2))]
        for vertical in (False, True):
            line(rules(rng, spacing, rng.uniform(1, 2), vertical), strength, colour)
    elif condition == "pencil on lines":
        line(rules(rng, spacing, rng.uniform(1, 2)), rng.uniform(0.15, 0.35), (GREY, BLUE)[int(rng.integers(2))])
    elif condition == "ruled, red margin":
        line(rules(rng, spacing, rng.uniform(1, 2)), rng.uniform(0.15, 0.4), BLUE)
        line(rules(rng, 1.7 * WIDTH, rng.uniform(1.5, 3), vertical=True), rng.uniform(0.4, 0.7), RED)
    elif condition == "printed box":
        frame = Image.new("L", (WIDTH, HEIGHT))
        margin = height * rng.uniform(0.08, 0.25, 4)
        corners = np.array([left, top, left + width, top + height]) + margin * [-1, -1, 1, 1]
        ImageDraw.Draw(frame).rectangle(list(np.clip(corners, 4, [WIDTH - 5, HEIGHT - 5] * 2)), outline=255, width=int(rng.integers(1, 5)))
        line(np.asarray(frame.rotate(rng.uniform(-3, 3), Image.Resampling.BICUBIC), np.float32) / 255, rng.uniform(0.4, 0.9))
    elif condition == "underline":
        stroke = Image.new("L", (WIDTH, HEIGHT))
        at, over = min(HEIGHT - 6, top + height + rng.uniform(6, 25)), width * rng.uniform(0.1, 0.5)
        ends = [max(4, left - over), at + rng.uniform(-4, 4), min(WIDTH - 5, left + width + over), at + rng.uniform(-4, 4)]
        ImageDraw.Draw(stroke).line(ends, fill=255, width=int(rng.integers(2, 9)))
        ink = np.maximum(ink, np.asarray(stroke, np.float32) / 255)
    picture *= 1 - ink[..., None] * dark
    if condition in ("dark table", "wooden table", "patterned table"):
        sheet = paper_on(rng, box)[..., None]
        surface = pattern(rng) if condition == "patterned table" else table(rng, condition == "wooden table")
        picture = picture * sheet + surface * (1 - sheet)
    elif condition == "strip of table":
        rows, columns = coordinates()
        edge = [rows, columns, HEIGHT - 1 - rows, WIDTH - 1 - columns][int(rng.integers(4))]
        strip = np.clip(rng.uniform(6, 17) + rng.uniform(-0.04, 0.04) * (rows + columns - 300) - edge, 0, 1)[..., None]
        picture = picture * (1 - strip) + table(rng, rng.random() < 0.5) * strip
    return exposed(picture, condition, middle, rng)


def exposed(picture: Shares, condition: str, middle: tuple[float, float], rng: np.random.Generator) -> Levels:
    """The picture in its light, from its angle, with noise, as the camera stores it."""
    rows, columns = coordinates()
    if condition == "gradient":
        angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.5)
        slope = rows / HEIGHT * np.sin(angle) + columns / WIDTH * np.cos(angle)
        picture = picture * (1 - fall * (slope - slope.min()) / np.ptp(slope))[..., None]
    elif condition in SHARES:
        picture = picture * (1 - (1 - SHARES[condition]) * half_plane(rng, middle))[..., None]
    elif condition == "hand shadow":
        picture = picture * (1 - rng.uniform(0.25, 0.5) * hand(rng))[..., None]
    elif condition == "vignette":
        radius = np.hypot(rows / HEIGHT - 0.5, columns / WIDTH - 0.5) / np.hypot(0.5, 0.5)
        picture = picture * (1 - 0.6 * radius**2)[..., None]
    elif condition == "glare":
        at = middle[0] + rng.uniform(-80, 80), middle[1] + rng.uniform(-80, 80)
        spot = np.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / (2 * rng.uniform(30, 60) ** 2))[..., None]
        picture = picture * 0.8 + (255 - picture * 0.8) * spot * rng.uniform(0.6, 0.95)
    elif condition == "blur":
        picture = ndimage.gaussian_filter(picture, (*[rng.uniform(1.5, 4)] * 2, 0))
    elif condition == "perspective":
        picture = perspective(picture, rng)
    noise = rng.uniform(10, 25) if condition == "noise" else rng.uniform(1, 4)
    picture = picture + np.float32(noise) * rng.standard_normal(picture.shape, dtype=np.float32)
    return compressed(np.clip(np.rint(picture), 0, 255).astype(np.uint8), int(rng.integers(70, 96)))
