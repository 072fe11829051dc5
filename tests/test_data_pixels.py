"""budgetnet.data.pixels: every mode of Pillow gives the right 8-bit RGB values."""

import io

import numpy as np
import pytest
from PIL import Image

from budgetnet.data.pixels import PixelError, prepare, to_rgb

RAMP = np.arange(0, 256, 5, dtype=np.uint8).repeat(4).reshape(13, 16)
COLOURS = np.random.default_rng(0).integers(0, 256, (13, 16, 3), dtype=np.uint8)


def reopened(image, kind, **options):
    """The picture as a decoder gives it."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(buffer)


def converted(image, stretch=False):
    return to_rgb(prepare(image, stretch))


def of_bytes(levels, mode):
    return Image.frombytes(mode, levels.shape[::-1], levels.tobytes())


@pytest.mark.parametrize(
    ("kind", "image"),
    [
        ("PNG", Image.fromarray(RAMP.astype(np.uint16) * 257)),
        ("TIFF", Image.fromarray(RAMP.astype(np.uint16) * 257)),
        ("TIFF", of_bytes((RAMP.astype(np.uint16) * 257).astype(">u2"), "I;16B")),
        ("PPM", Image.fromarray(RAMP.astype(np.int32) * 257)),
        ("TIFF", Image.fromarray(RAMP.astype(np.int32) * 257)),
        ("TIFF", Image.fromarray(RAMP.astype(np.float32) / 255)),
        ("PPM", Image.fromarray(RAMP.astype(np.float32) / 255)),
    ],
    ids=["PNG I;16", "TIFF I;16", "TIFF I;16B", "PGM I", "TIFF I", "TIFF F", "PFM F"],
)
@pytest.mark.parametrize("stretch", [False, True])
def test_levels_of_many_bits_are_scaled(kind, image, stretch):
    opened = reopened(image, kind)
    assert opened.mode.startswith(("I", "F"))
    assert np.array_equal(converted(opened, stretch), np.repeat(RAMP[..., None], 3, 2))


def test_sixteen_bits_are_rounded_not_cut_off():
    levels = np.array([[0, 128, 129, 32767, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    assert converted(Image.fromarray(levels))[0, :, 0].tolist() == [0, 0, 1, 127, 128, 254, 255, 255]


def test_a_fixed_scale_keeps_pictures_comparable():
    dark = Image.fromarray(np.array([[0, 2570]], dtype=np.uint16))
    assert converted(dark)[0, :, 0].tolist() == [0, 10]
    assert converted(dark, stretch=True)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    "levels", [np.int32([[-1, 5]]), np.int32([[0, 65536]]), np.float32([[0, 1.5]]), np.float32([[-0.1, 1]])]
)
def test_levels_without_a_known_white_are_stretched_or_refused(levels):
    assert converted(Image.fromarray(levels), stretch=True)[0, :, 0].tolist() == [0, 255]
    with pytest.raises(PixelError, match=r"levels run from .* to .*; expected 0 to (1|65535): scale them"):
        converted(Image.fromarray(levels))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("stretch", [False, True])
def test_levels_that_are_not_finite_are_refused(value, stretch):
    with pytest.raises(PixelError, match="not all finite"):
        converted(Image.fromarray(np.float32([[0, value]])), stretch)


def test_a_uniform_picture_of_many_bits_has_no_range_to_stretch():
    assert converted(Image.fromarray(np.full((3, 3), 700, np.uint16)), stretch=True).max() == 0


def test_grey_and_black_and_white_are_repeated():
    assert np.array_equal(converted(reopened(Image.fromarray(RAMP), "PNG")), np.repeat(RAMP[..., None], 3, 2))
    bits = Image.fromarray(RAMP > 127)
    assert np.array_equal(converted(reopened(bits, "PNG"))[..., 1], np.where(RAMP > 127, 255, 0))


def test_colours_are_kept():
    assert np.array_equal(converted(reopened(Image.fromarray(COLOURS), "PNG")), COLOURS)


def test_cmyk_becomes_rgb():
    inks = Image.fromarray(255 - COLOURS).convert("RGB")
    cmyk = Image.merge("CMYK", (*inks.split(), Image.new("L", inks.size, 0)))
    assert np.array_equal(converted(reopened(cmyk, "TIFF")), COLOURS)
    black = Image.new("CMYK", (8, 8), (0, 0, 0, 255))
    assert converted(reopened(black, "TIFF")).max() == 0
    assert converted(reopened(black, "JPEG")).max() <= 2


def test_the_colours_of_lab_become_rgb():
    grey = converted(reopened(Image.new("LAB", (4, 4), (128, 128, 128)), "TIFF"))
    assert np.ptp(grey) <= 3  # as many levels of each colour
    assert 115 < grey.mean() < 125


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_become_white(mode):
    image = Image.new(mode, (4, 1), (40,) * (len(mode) - 1) + (0,))
    for column, alpha in enumerate((0, 51, 255)):
        image.putpixel((column, 0), (40,) * (len(mode) - 1) + (alpha,))
    assert converted(reopened(image, "PNG"))[0, :, 0].tolist() == [255, 212, 40, 255]


def test_light_ink_on_transparency_lies_on_black():
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((0, 0), (255, 255, 255, 255))
    assert converted(image)[0, :, 0].tolist() == [255, 0]


def test_a_transparent_entry_of_a_palette_becomes_white():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([9, 9, 9, 200, 10, 20, 30, 30, 30])
    expected = [[255] * 3, [200, 10, 20], [30] * 3]
    for transparency in (0, b"\0\xff\xff"):
        assert converted(reopened(image, "PNG", transparency=transparency))[0].tolist() == expected
    assert converted(reopened(image, "GIF", transparency=0))[0].tolist() == expected


def test_a_transparent_grey_level_becomes_white():
    grey = Image.fromarray(np.array([[7, 100]], np.uint8))
    assert converted(reopened(grey, "PNG", transparency=7))[0, :, 0].tolist() == [255, 100]


@pytest.mark.parametrize("levels", [RAMP, RAMP.astype(np.uint16) * 257], ids=["L", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, levels):
    stored = {  # how a camera that is held this way stores the rows of an upright picture
        1: levels, 2: levels[:, ::-1], 3: levels[::-1, ::-1], 4: levels[::-1],
        5: levels.T, 6: np.rot90(levels), 7: levels[::-1, ::-1].T, 8: np.rot90(levels, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = reopened(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    assert np.array_equal(converted(opened)[..., 0], RAMP)
