"""Forms with pictures: what is taken, and that anything else is a refusal."""

import asyncio

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.serve.decoding import Decoders
from budgetnet.serve.inputs import FORM, parse
from budgetnet.serve.refusal import Refusal
from tests.serve_demo import picture

PICTURE = picture()


def parsed(body, content_type):
    decoders = Decoders(1)
    try:
        return asyncio.run(parse(FORM, content_type, body, decoders))
    finally:
        decoders.close()


def form(files, data=None):
    request = httpx.Request("POST", "http://test", files=files, data=data)
    return request.read(), request.headers["content-type"]


def refusal(body, content_type):
    with pytest.raises(Refusal) as found:
        parsed(body, content_type)
    return found.value


def test_one_and_several_pictures():
    one = parsed(*form({"file": ("a.png", PICTURE, "image/png")}))
    three = parsed(*form([("file", ("a.png", PICTURE)), ("file", ("b.jpg", picture(form="JPEG"))), ("file", PICTURE)]))
    assert one.images.shape == (1, 28, 28)
    assert three.images.shape == (3, 28, 28)
    assert np.array_equal(one.images[0], three.images[0])
    assert np.array_equal(one.images[0], three.images[2])


def test_model_and_seen_beside_them():
    found = parsed(*form({"file": PICTURE}, {"model": "step-09", "seen": "true"}))
    assert (found.model, found.seen) == ("step-09", True)


@pytest.mark.parametrize(
    ("files", "data", "field", "told"),
    [
        ({"other": b"x"}, None, "other", "a field 'other'"),
        ({"model": (None, b"step-13")}, None, "file", "no field file"),
        ({"file": b""}, None, "file", "is empty"),
        ({"file": b"no picture"}, None, "file", "no picture that can be read"),
        ({"file": PICTURE[:-60]}, None, "file", "damaged or truncated"),
        ([("file", PICTURE), ("file", b"x")], None, "file[1]", "file[1] is no picture"),
        ({"file": bytes(784)}, None, "file", "no picture"),
        ({"file": PICTURE}, {"seen": "perhaps"}, "seen", "'perhaps'; expected true or false"),
        ({"file": PICTURE}, {"model": ["a", "b"]}, "model", "twice"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(files, data, field, told):
    found = refusal(*form(files, data))
    assert (found.status, found.field) == (422, field)
    assert told in found.message


def test_more_than_256_pictures_are_refused():
    found = refusal(*form([("file", b"x")] * 257))
    assert (found.status, "256" in found.message) == (400, True)


def test_a_preamble_is_accepted():
    body, content_type = form({"file": PICTURE})
    assert len(parsed(b"This is a message of several parts.\r\n" + body, content_type).images) == 1


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""'])
def test_a_form_without_a_boundary_is_400(content_type):
    found = refusal(b"--x\r\n", content_type)
    assert (found.status, found.code, found.field) == (400, "bad_form", "body")


@pytest.mark.parametrize("cut", [0, 1, 20, 60, 200, -3, -4, -8])
def test_a_form_that_is_cut_off_is_400(cut):
    body, content_type = form({"file": PICTURE})
    assert refusal(body[:cut], content_type).status == 400


def test_a_boundary_that_is_too_long_is_400():
    assert refusal(b"--x", f"multipart/form-data; boundary={'x' * 5000}").status == 400


@given(st.binary(max_size=300))
def test_any_bytes_are_a_refusal(body):
    assert refusal(body, "multipart/form-data; boundary=x").status in (400, 422)


FILE, MODEL = (b'Content-Disposition: form-data; name="%s"' % name for name in (b"file", b"model"))
PIECES = st.sampled_from([b"--x", b"--x--", b"\r\n", b"\r\n\r\n", FILE, MODEL, b"Content-Type: image/png", b"\x89PNG"])


@given(st.lists(st.one_of(PIECES, st.binary(max_size=10)), max_size=20))
def test_anything_like_a_form_is_a_refusal(parts):
    assert refusal(b"".join(parts), "multipart/form-data; boundary=x").status in (400, 422)
