"""JSON bodies: their fields, what is said of wrong ones, and that nothing that can be sent breaks the parser."""

import base64
import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.serve.inputs import JsonBody
from budgetnet.serve.refusal import Refusal
from tests.serve_demo import images_of, picture

SEVEN = images_of(7)[0]
ROWS = SEVEN.tolist()
RAW = base64.b64encode(SEVEN.tobytes()).decode()
PICTURE = base64.b64encode(picture()).decode()


def decoded(**fields):
    return JsonBody(orjson.dumps(fields)).decode()


def refusal(body):
    with pytest.raises(Refusal) as found:
        JsonBody(body if isinstance(body, bytes) else body.encode()).decode()
    assert found.value.message.count("\n") == 0
    return found.value


def test_every_form_of_an_image_is_the_same_image():
    for one in (ROWS, RAW, f"data:application/octet-stream;base64,{RAW}", f"{RAW[:76]}\n{RAW[76:]}\n"):
        assert decoded(image=one).images.tolist() == [ROWS]
    assert decoded(images=[ROWS, RAW]).images.tolist() == [ROWS, ROWS]


def test_floats_and_bytes_in_one_request_become_floats():
    images = decoded(images=[(SEVEN / 255).tolist(), RAW], scale=1).images
    assert images.dtype == np.float32
    assert np.allclose(images[0], images[1], atol=1e-7)


def test_pictures_and_their_data_addresses_are_decoded():
    plain, with_prefix = decoded(image=PICTURE), decoded(image=f"data:image/png;base64,{PICTURE}")
    assert plain.images.shape == (1, 28, 28)
    assert plain.images.max() > 200
    assert np.array_equal(plain.images, with_prefix.images)


def test_pictures_keep_their_places_among_others():
    images = decoded(images=[RAW, PICTURE, ROWS]).images
    assert images[0].tolist() == images[2].tolist() == ROWS
    assert images[1].tolist() == decoded(image=PICTURE).images[0].tolist()


def test_only_pictures_are_slow():
    assert JsonBody(orjson.dumps({"image": "A" * 4000})).has_pictures
    assert not JsonBody(orjson.dumps({"images": [ROWS, RAW]})).has_pictures


def test_model_and_seen_are_told():
    found = decoded(image=ROWS, model="step-13", seen=True)
    assert (found.model, found.seen) == ("step-13", True)
    assert (decoded(image=ROWS).model, decoded(image=ROWS).seen) == (None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"[1,]", b"NaN", b'{"image": [[NaN]]}', b'{"image": [[Infinity]]}', b'{"image": [[1e999]]}', b"\xff\xfe",
        b'{"image": "\xff"}', b'{"image": 01}',
        b'{"image": "\\ud800"}', b"[" * 100_000, b'{"image":' * 5_000, b"{'image': 1}", b"0x10", b"1" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_json_is_400(body):
    found = refusal(body)
    assert (found.status, found.code, found.field) == (400, "not_json", "body")


@pytest.mark.parametrize("body", ["[]", "1", '"text"', "null", "true", "[[0]]"])
def test_another_value_than_an_object_is_422(body):
    assert (refusal(body).status, refusal(body).field) == (422, "body")


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({}, "image", "neither image nor images"),
        ({"image": ROWS, "images": [ROWS]}, "image", "both image and images"),
        ({"image": ROWS, "picture": 1}, "picture", "a field 'picture'"),
        ({"images": []}, "images", "0 images; expected 1 to 256"),
        ({"images": [RAW] * 257}, "images", "257 images"),
        ({"images": ROWS[0]}, "images[0]", "is 0; expected 28 rows"),
        ({"images": {"0": ROWS}}, "images", "an object with 1 fields"),
        ({"images": "x"}, "images", "the text 'x'"),
        ({"image": None}, "image", "neither image nor images"),
        ({"image": 7}, "image", "is 7"),
        ({"image": True}, "image", "is true"),
        ({"image": {}}, "image", "an object"),
        ({"image": ROWS, "model": 13}, "model", "is 13; expected the name"),
        ({"image": ROWS, "seen": "true"}, "seen", "the text 'true'; expected true or false"),
        ({"image": ROWS, "seen": 1}, "seen", "is 1"),
        ({"image": ROWS, "scale": 254}, "scale", "is 254"),
        ({"image": ROWS, "scale": True}, "scale", "is true"),
        ({"image": ROWS, "scale": "1"}, "scale", "the text '1'"),
        ({"image": ""}, "image", "is empty"),
        ({"image": "not base64!"}, "image", "no base64"),
        ({"image": "AAA"}, "image", "no base64"),
        ({"image": "ä" * 8}, "image", "other characters"),
        ({"image": RAW[:-4]}, "image", "no picture that can be read"),
        ({"images": [RAW, RAW, "AAAA"]}, "images[2]", "images[2] is no picture"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(fields, field, told):
    found = refusal(orjson.dumps(fields))
    assert (found.status, found.code, found.field) == (422, "invalid", field)
    assert told in found.message


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf%s", b"%s", b" %s\n"])
def test_a_byte_order_mark_and_null_fields_are_accepted(body):
    fields = {"image": ROWS, "images": None, "model": None, "seen": None, "scale": None}
    assert JsonBody(body % orjson.dumps(fields)).decode().images.tolist() == [ROWS]


def test_escaped_slashes_and_odd_names():
    escaped = json.dumps({"image": RAW, "model": 'a"b\\c'}).replace("/", "\\/").encode()
    assert JsonBody(escaped).decode().model == 'a"b\\c'


def test_truth_among_the_numbers_is_found_in_spite_of_seen_and_of_texts():
    rows = [list(row) for row in ROWS]
    rows[3][4] = True
    for fields in ({"image": rows}, {"image": rows, "seen": True}, {"image": rows, "seen": False, "model": "true"}):
        assert refusal(orjson.dumps(fields)).field == "image[3][4]"
    assert decoded(image=ROWS, model="true", seen=True).images.tolist() == [ROWS]


@pytest.mark.parametrize("depth", [30, 900, 1000, 1020])
def test_nesting_that_json_allows_is_a_refusal(depth):
    nested = b"[" * depth + b"]" * depth
    assert refusal(b'{"image": ' + nested + b"}").status == 422
    assert refusal(b'{"image": "a\\"", "model": ' + nested + b"}").status == 422


def status_of(body):
    try:
        JsonBody(body).decode()
    except Refusal as found:
        return found.status
    return 200


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)), max_leaves=12,
)  # fmt: skip
FIELDS = st.dictionaries(
    st.one_of(st.sampled_from(["image", "images", "model", "seen", "scale"]), st.text(max_size=5)), JSON_VALUES, max_size=5
)


@given(FIELDS)
def test_any_object_is_a_wish_or_a_refusal(fields):
    body = json.dumps(fields).encode("utf-8", "surrogatepass")
    assert status_of(body) in (200, 400, 422)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_refusal(body):
    assert refusal(body).status in (400, 422)
