"""budgetnet.inference.pictures: every kind of file that may hold digits, and what strangers may send instead."""

import contextlib
import gzip
import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from budgetnet.inference.contract import Contract
from budgetnet.inference.errors import InputError
from budgetnet.inference.pictures import decode_picture, doubt, read_images
from tests.photographs import drawn

SHAPE = (1, 28, 28)
CONTRACT = Contract(SHAPE, 10, 0.1307, 0.3081)
FIVE = drawn(5, 10)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def saved(folder, content, name="five.png"):
    (folder / name).write_bytes(content)
    return folder / name


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def formed(folder, content):
    return read_images(saved(folder, content), SHAPE).images[0, 0].astype(int)


def difference(first, second):
    return np.abs(first - second).mean()


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """The drawing in MNIST's form."""
    form = formed(tmp_path_factory.mktemp("five"), encoded(FIVE))
    assert form.max() == 255
    return form


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        read_images(path, SHAPE)
    sentence = str(caught.value)
    assert all(word in sentence for word in (path.name, *words)), sentence
    assert "\n" not in sentence


# --- doubt ------------------------------------------------------------------------------------------------------------


def test_a_digit_that_is_not_sure_is_in_doubt():
    assert doubt(None, [0.001, 0.995, 0.004]) is None
    assert doubt(None, [0.9, 0.02, 0.08]) == "the digit is uncertain: 0 with 90.0 %, 2 with 8.0 %"
    assert doubt(None, [0.9, 0.1], ("cat", "dog")) == "the digit is uncertain: cat with 90.0 %, dog with 10.0 %"
    assert doubt("two of them", [0.001, 0.999]) == "two of them"
    assert doubt("two of them", [0.6, 0.4]) == "two of them; the digit is uncertain: 0 with 60.0 %, 1 with 40.0 %"


def test_a_picture_with_several_digits_has_a_warning(tmp_path):
    several = read_images(saved(tmp_path, encoded(np.hstack([FIVE, drawn(3, 10)]))), SHAPE)
    assert "several digits" in several.warning
    assert read_images(saved(tmp_path, encoded(FIVE)), SHAPE).warning is None


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_any_kind_of_picture(kind, tmp_path, five):
    assert difference(formed(tmp_path, encoded(FIVE, kind)), five) < 2


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_any_mode_of_pixels(mode, tmp_path, five):
    if mode == "I;16":
        image = Image.fromarray(FIVE.astype(np.uint16) * 16)  # twelve bits of a camera
    elif mode in ("I", "F"):
        image = Image.fromarray(FIVE.astype(np.int32 if mode == "I" else np.float32) * 100 - 3000)
    else:
        image = Image.fromarray(FIVE).convert(mode)
    assert difference(formed(tmp_path, encoded(image, "TIFF")), five) < 2


def test_a_png_of_sixteen_bits(tmp_path, five):
    assert difference(formed(tmp_path, encoded(FIVE.astype(np.uint16) * 257)), five) < 2


def test_a_picture_is_one_image_in_the_network_s_form(tmp_path):
    path = saved(tmp_path, encoded(FIVE))
    found = read_images(path, SHAPE)
    assert (found.images.shape, found.images.dtype, found.names, found.formed) == ((1, *SHAPE), np.uint8, (str(path),), True)
    assert CONTRACT.checked(found.images).shape == (1, *SHAPE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_telephone_s_picture_is_turned_upright(orientation, tmp_path, five):
    undone = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpositions of Pillow that a viewer's would undo
    image = Image.fromarray(FIVE)
    turned = image.transpose(Image.Transpose(undone[orientation])) if orientation > 1 else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(formed(tmp_path, encoded(turned, "JPEG", exif=exif)), five) < 2


def clear(ink):
    """The drawing as nothing but ``ink`` on nothing, as drawing programs save it."""
    pixels = np.empty((*FIVE.shape, 4), np.uint8)
    pixels[..., :3] = ink
    pixels[..., 3] = 255 - FIVE
    return Image.fromarray(pixels)


@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 255, 255), (255, 220, 0)])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_paper(ink, mode, tmp_path, five):
    assert difference(formed(tmp_path, encoded(clear(ink).convert(mode))), five) < 2


def test_a_transparent_colour_of_a_palette(tmp_path, five):
    image = Image.fromarray(np.where(FIVE < 128, 1, 0).astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 0, 0, 0])
    assert difference(formed(tmp_path, encoded(image, transparency=0)), five) < 8  # without the soft edges
    assert difference(formed(tmp_path, encoded(image, transparency=b"\0\xff")), five) < 8


def test_nothing_visible_on_transparent_paper(tmp_path):
    refused(saved(tmp_path, encoded(Image.new("RGBA", (50, 50)))), "nothing on the picture")


def test_a_large_photograph_is_reduced():
    large = Image.fromarray(FIVE).resize((4200, 3000))
    for kind in ("JPEG", "PNG"):
        height, width, colours = decode_picture(encoded(large, kind), "large").shape
        assert (max(height, width) < 2100, colours) == (True, 3)


def test_decoding_gives_colours():
    red = decode_picture(encoded(Image.new("RGB", (5, 3), (200, 10, 20))), "red.png")
    assert (red.shape, red.dtype, tuple(red[0, 0])) == ((3, 5, 3), np.uint8, (200, 10, 20))


def test_a_picture_is_of_no_use_to_a_network_of_another_form(tmp_path):
    with pytest.raises(InputError, match="takes 3 × 32 × 32, not MNIST's form"):
        read_images(saved(tmp_path, encoded(FIVE)), (3, 32, 32))


def test_several_threads_may_decode():
    content, found = encoded(FIVE), []
    threads = [threading.Thread(target=lambda: found.append(decode_picture(content, "five"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all((one == found[0]).all() for one in found)


# --- what strangers send ----------------------------------------------------------------------------------------------


def bomb(width, height):
    """A PNG's header of any size, and no more pixels than fit into a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8000, 7000), (10_000, 10_000), (50_000, 50_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_bomb_is_not_decoded(size, tmp_path):
    refused(saved(tmp_path, bomb(*size)), "50 megapixels at most")


def test_the_size_of_a_large_picture_is_told():
    with pytest.raises(InputError, match=r"^photo has 8,000 × 7,000 pixels"):
        decode_picture(bomb(8000, 7000), "photo")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7])
def test_a_truncated_picture(kind, part, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    content = encoded(noise, kind)
    refused(saved(tmp_path, content[: int(part * len(content))]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_damaged_bytes_end_in_a_picture_or_in_an_input_error(kind):
    rng = np.random.default_rng(1)
    whole = np.frombuffer(encoded(FIVE[::4, ::4], kind), np.uint8)
    for _ in range(60):
        content = whole.copy()
        content[rng.integers(0, min(len(content), 400), 4)] = rng.integers(0, 256, 4)
        with contextlib.suppress(InputError):
            decode_picture(content.tobytes(), "damaged")


def test_what_is_no_picture(tmp_path):
    refused(saved(tmp_path, b""), "is empty", "PNG")
    refused(saved(tmp_path, b"Dear Sir or Madam,"), "no picture that can be read", "b'Dear Sir'")
    refused(saved(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "five.eps"), "no picture that can be read")
    refused(tmp_path, "is a folder")
    refused(tmp_path / "none.png", "does not exist")
    refused(saved(tmp_path, encoded(np.full((90, 60), 200, np.uint8))), "nothing on the picture")


# --- arrays -----------------------------------------------------------------------------------------------------------

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
@pytest.mark.parametrize("write", [idx, npy])
@pytest.mark.parametrize("array", [PIXELS, PIXELS[:, None], PIXELS[:1]], ids=["flat", "channels", "one"])
def test_an_array_comes_as_it_is(write, pack, array, tmp_path):
    path = saved(tmp_path, pack(write(array)), "whatever")
    found = read_images(path, SHAPE)
    assert not found.formed
    assert (CONTRACT.checked(found.images) == array.reshape(-1, *SHAPE)).all()
    assert found.names == (tuple(f"{path}[{place}]" for place in range(3)) if len(array) == 3 else (str(path),))


def test_one_image_is_one_of_many(tmp_path):
    path = saved(tmp_path, npy(PIXELS[0]), "one.npy")
    found = read_images(path, SHAPE)
    assert (CONTRACT.checked(found.images) == PIXELS[:1, None]).all()
    assert found.names == (str(path),)
    in_colours = read_images(path, (3, 28, 28)).images
    with pytest.raises(InputError, match="the shape"):
        Contract((3, 28, 28), 10, 0.5, 0.25).checked(in_colours)


def test_floats_stay_floats(tmp_path):
    floats = (PIXELS / 255).astype(np.float32)
    found = read_images(saved(tmp_path, npy(floats), "floats.npy"), SHAPE).images
    assert found.dtype == np.float32
    assert (found == floats).all()


@pytest.mark.parametrize("array", [PIXELS.astype(complex), PIXELS[:, :20], PIXELS[:0]], ids=["type", "shape", "none"])
def test_the_contract_judges_arrays(array, tmp_path):
    with pytest.raises(InputError):
        CONTRACT.checked(read_images(saved(tmp_path, npy(array), "odd.npy"), SHAPE).images)


def test_mnist_s_own_files(mnist, tmp_path):
    images = mnist.test_images[:20].numpy()
    found = read_images(saved(tmp_path, gzip.compress(idx(images[:, 0])), "t10k-images-idx3-ubyte.gz"), SHAPE)
    assert (found.images == images[:, 0]).all()
    refused(saved(tmp_path, idx(mnist.test_labels[:20].numpy().astype(np.uint8)), "t10k-labels-idx1-ubyte"), "labels perhaps")


def test_pickled_objects_are_refused(tmp_path):
    objects = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(saved(tmp_path, objects, "objects.npy"), "not a usable NPY file", "numpy.save")


@pytest.mark.parametrize(
    "content",
    [
        npy(PIXELS)[:7],
        npy(PIXELS)[:60],
        npy(PIXELS)[:-1],
        npy(PIXELS).replace(b"(3, 28, 28)", b"(3" + b"0" * 9),
        npy(PIXELS).replace(b"(3, 28, 28), }      ", b"(9999999999999999,)}"),
        npy(PIXELS).replace(b"|u1", b"|x9"),
    ],
    ids=["magic", "header", "data", "syntax", "huge", "type"],
)
def test_a_damaged_npy(content, tmp_path):
    refused(saved(tmp_path, content, "damaged.npy"), "not a usable NPY file")


@pytest.mark.parametrize("content", [idx(PIXELS)[:-1], idx(PIXELS)[:9], b"\0\0\x0d" + idx(PIXELS)[3:]], ids=["data", "header", "type"])
def test_a_damaged_idx(content, tmp_path):
    refused(saved(tmp_path, content, "digits.idx"), "not a usable IDX file")


def test_a_damaged_gz(tmp_path):
    whole = gzip.compress(idx(PIXELS))
    for content in (whole[:-9], whole[:15], whole[:30] + b"\0\0\0\0" + whole[34:]):
        refused(saved(tmp_path, content, "digits.gz"), "damaged or truncated .gz")


def test_a_gz_bomb_is_not_unpacked(tmp_path, monkeypatch):
    from budgetnet.inference import pictures

    monkeypatch.setattr(pictures, "LARGEST", 100_000)
    refused(saved(tmp_path, gzip.compress(bytes(10**7)), "bomb.gz"), "more than 100,000 bytes")


def test_an_array_of_no_dimension(tmp_path):
    refused(saved(tmp_path, npy(np.float32(3)), "number.npy"), "shape ()")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", ("is a HEIC picture, which is not read", "save it as PNG or JPEG")),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", ("is an AVIF picture, which is not read",)),
        (b"%PDF-1.7\n", ("is a PDF document, which is not read", "save its page as PNG or JPEG")),
        (b"PK\x03\x04" + bytes(26) + b"digits.npy", ("is an NPZ archive, which is not read", "write one of its arrays with numpy.save")),
        (b"PK\x03\x04" + bytes(26) + b"digits.png", ("is a ZIP archive, which is not read",)),
        (b'<?xml version="1.0"?>\n<svg xmlns="', ("is an SVG drawing, which is not read",)),
    ],
)
def test_a_kind_of_file_that_is_not_read_is_named(tmp_path, content, said):
    refused(saved(tmp_path, content), *said)


def test_an_npz_of_numpy_is_named(tmp_path):
    np.savez(tmp_path / "digits.npz", np.zeros((2, 28, 28)))
    refused(tmp_path / "digits.npz", "is an NPZ archive")


@pytest.mark.parametrize(("form", "several"), [("tiff", "has 3 pages"), ("gif", "is animated")])
def test_a_file_of_several_pictures_says_that_the_first_was_read(tmp_path, form, several):
    pages = []
    for width in (6, 12, 18):
        page = np.full((90, 90), 255, np.uint8)
        page[15:75, 40 : 40 + width] = 0
        pages.append(Image.fromarray(page))
    pages[0].save(tmp_path / f"pages.{form}", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / f"page.{form}")
    found = read_images(tmp_path / f"pages.{form}", (1, 28, 28))
    alone = read_images(tmp_path / f"page.{form}", (1, 28, 28))
    assert found.remark == f"{tmp_path / f'pages.{form}'} {several}; the first picture in it was read"
    assert alone.remark is None
    assert np.array_equal(found.images, alone.images)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_large_pictures_are_reduced_as_a_whole_whatever_their_strips(mode):
    noise = np.random.default_rng(0).integers(0, 256, (1101, 2101, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).convert(mode)
    with Image.open(io.BytesIO(encoded(picture))) as image:
        whole = np.asarray(image.convert("RGBA" if "A" in mode else "RGB").reduce(2))
    found = decode_picture(encoded(picture), "noise")
    assert found.shape == (551, 1051, 3)
    assert np.array_equal(found, whole[..., :3])


def test_levels_of_16_bits_run_from_0_to_255():
    levels = np.linspace(1000, 5000, 200 * 300).reshape(200, 300)
    found = decode_picture(encoded(levels.astype(np.uint16)), "levels")
    assert np.array_equal(found[..., 0], np.rint((levels.astype(np.uint16) - 1000.0) * (255 / 4000)).astype(np.uint8))


MEASURED = r"""
import re, sys
from budgetnet.inference.pictures import decode_picture

def bytes_of(field):
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(field + r":\s+(\d+)", file.read())[1])

with open(sys.argv[1], "rb") as file:
    content = file.read()
with open(sys.argv[2], "rb") as file:
    decode_picture(file.read(), "small")  # imports the decoder
before = bytes_of("VmRSS")
for _ in range(3):
    decode_picture(content, "large")
print(bytes_of("VmRSS") - before, bytes_of("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_of_large_pictures_is_bounded_and_returned(tmp_path):
    """25 megapixels take 100 MB; copies of all of them took three times as much, and most of it stayed with the process."""
    large = saved(tmp_path, encoded(Image.new("RGBA", (5000, 5000), "white"), compress_level=1), "large.png")
    small = saved(tmp_path, encoded(FIVE), "small.png")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, large, small], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True
    )
    stays, peak = map(int, done.stdout.split())
    assert stays < 30e6
    assert peak < 200e6
