"""Pictures in requests: sizes that would be bombs, damage, time, and base64."""

import base64
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from budgetnet.inference.digit_form import mnist_form
from budgetnet.inference.pictures import decode_picture
from budgetnet.serve import decoding
from budgetnet.serve.refusal import Refusal
from tests.serve_demo import picture


def png_of(width, height, rows=b""):
    """A PNG that says it is so large; ``rows`` is what its image data unpacks to."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def refusal(content):
    with pytest.raises(Refusal) as found:
        decoding.decode_pictures([(content, "file")])
    assert found.value.field == "file"
    return found.value


def test_a_picture_is_read_as_predict_reads_it():
    content = picture(size=(300, 200))
    assert np.array_equal(decoding.decode_pictures([(content, "file")])[0].image, mnist_form(decode_picture(content, "x")).image)


def test_a_bomb_is_refused_by_its_size_before_it_is_unpacked():
    bomb = png_of(50_000, 50_000, bytes(50_001) * 200)
    assert len(bomb) < 20_000
    tracemalloc.start()
    found = refusal(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.status == 422
    assert "2,500" in found.message or "megapixels" in found.message or "more pixels" in found.message
    assert peak < 5_000_000


@pytest.mark.parametrize(
    "content",
    [
        png_of(0, 0), png_of(1, 1), png_of(28, 28), png_of(2**31 - 1, 1), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF1234WEBP",
        b"II*\x00", b"%!PS-Adobe", b"<svg/>", picture()[:100], picture(form="JPEG")[:200], bytes(1000),
    ],
)  # fmt: skip
def test_damaged_and_foreign_files_are_refusals(content):
    assert refusal(content).status == 422


def test_a_blank_picture_holds_no_digit():
    file = io.BytesIO()
    Image.new("L", (50, 50), 255).save(file, "PNG")
    assert "nothing on the picture" in refusal(file.getvalue()).message


def test_whatever_a_picture_does_to_the_arithmetic_is_its_own_fault(monkeypatch):
    def broken(_):
        raise FloatingPointError("underflow")

    monkeypatch.setattr(decoding, "mnist_form", broken)
    found = refusal(picture())
    assert (found.status, "FloatingPointError" in found.message) == (422, True)


def test_pictures_that_take_too_long_are_not_all_decoded(monkeypatch):
    monkeypatch.setattr(decoding, "SECONDS", -1.0)
    found = refusal(picture())
    assert (found.status, found.code) == (413, "too_large")


def test_784_bytes_are_pixels_unless_they_are_a_picture():
    assert decoding.is_pixels(bytes(784))
    assert not decoding.is_pixels(bytes(783))
    assert not decoding.is_pixels(b"\x89PNG\r\n\x1a\n" + bytes(776))


def test_base64_may_have_an_address_before_it():
    for prefix in ("", "data:image/png;base64,", "data:;base64,", "data:text/plain;charset=utf-8;base64,"):
        assert decoding.decode_base64(prefix + base64.b64encode(b"abc").decode(), "image") == b"abc"


@pytest.mark.parametrize("text", ["data:image/png,abc", "data:image/png;base64", "abc", "a===", "YQ=", "Y Q", "\x00"])
def test_what_is_no_base64_is_a_refusal(text):
    with pytest.raises(Refusal) as found:
        decoding.decode_base64(text, "image")
    assert (found.value.status, found.value.field) == (422, "image")
