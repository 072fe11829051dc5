"""Images as rows of numbers: what is taken, and that what is not is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetnet.serve.decoding import pixels_of_rows
from budgetnet.serve.refusal import Refusal

ZEROS = [[0] * 28 for _ in range(28)]


def with_value(value, row=3, column=4, rows=ZEROS):
    changed = [list(one) for one in rows]
    changed[row][column] = value
    return changed


def refusal(rows, scale=None):
    with pytest.raises(Refusal) as found:
        pixels_of_rows(rows, "images[2]", scale)
    assert found.value.status == 422
    return found.value


def test_whole_numbers_are_bytes():
    rows = np.random.default_rng(0).integers(0, 256, (28, 28)).tolist()
    image = pixels_of_rows(rows, "image", None)
    assert image.dtype == np.uint8
    assert image.tolist() == rows


@pytest.mark.parametrize("scale", [None, 255])
def test_whole_numbers_may_be_written_as_floats(scale):
    image = pixels_of_rows(with_value(200.0), "image", scale)
    assert image.dtype == np.uint8
    assert image[3, 4] == 200


def test_numbers_from_0_to_1_are_floats():
    image = pixels_of_rows(with_value(0.25), "image", 1)
    assert image.dtype == np.float32
    assert image[3, 4] == 0.25
    assert pixels_of_rows(with_value(1), "image", 1)[3, 4] == 1.0


def test_an_empty_image_is_no_question_of_scale():
    assert pixels_of_rows(ZEROS, "image", None).max() == 0


@pytest.mark.parametrize("value", [1, 1.0])
def test_nothing_above_1_is_doubtful(value):
    found = refusal(with_value(value))
    assert found.field == "images[2]"
    assert '"scale": 1' in found.message
    assert '"scale": 255' in found.message


def test_nothing_above_1_is_no_doubt_where_the_scale_is_given():
    assert pixels_of_rows(with_value(1), "image", 255)[3, 4] == 1


def test_a_fraction_is_doubtful_without_a_scale_and_wrong_with_255():
    without, wrong = refusal(with_value(0.5)), refusal(with_value(0.5), 255)
    assert without.field == wrong.field == "images[2][3][4]"
    assert "0.5, a fraction" in without.message
    assert '"scale": 1' in without.message
    assert "expected whole numbers from 0 to 255" in wrong.message


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (256, "is 256"), (-1, "is -1"), (1e300, "is 1e+300"), (2**64, "is 18446744073709551616"), (None, "is null"), (True, "is true"),
        (False, "is false"), ("7", "is the text '7'"), ([], "is a list of 0"), ([1], "is a list of 1"), ({}, "is an object with 0 fields"),
        ("x" * 99, "is the text 'xxxxxxxxxxxxxxxxxxxx…'"),
    ],
)  # fmt: skip
def test_what_is_no_pixel_has_its_place_named(value, told):
    found = refusal(with_value(value))
    assert found.field == "images[2][3][4]"
    assert told in found.message
    assert "expected" in found.message


def test_above_1_is_too_much_with_a_scale_of_1():
    found = refusal(with_value(1.5), 1)
    assert (found.field, "is 1.5; expected 0 to 1" in found.message) == ("images[2][3][4]", True)


@pytest.mark.parametrize(
    ("rows", "field", "told"),
    [
        (ZEROS[:27], "images[2]", "has 27 rows"),
        ([*ZEROS, [0] * 28], "images[2]", "has 29 rows"),
        ([], "images[2]", "has 0 rows"),
        ([0] * 784, "images[2]", "as a list of rows"),
        ([28] * 28, "images[2][0]", "is 28; expected a row"),
        ([*ZEROS[:5], [0] * 27, *ZEROS[6:]], "images[2][5]", "has 27 numbers"),
        ([*ZEROS[:5], [0] * 29, *ZEROS[6:]], "images[2][5]", "has 29 numbers"),
        ([*ZEROS[:5], "0" * 28, *ZEROS[6:]], "images[2][5]", "expected a row"),
        ([*ZEROS[:5], None, *ZEROS[6:]], "images[2][5]", "is null"),
    ],
)
def test_another_form_is_named(rows, field, told):
    found = refusal(rows)
    assert found.field == field
    assert told in found.message


VALUES = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none(), st.text(max_size=3))


@given(st.lists(st.one_of(st.lists(VALUES, min_size=27, max_size=29), VALUES), min_size=27, max_size=29), st.sampled_from([None, 1, 255]))
def test_any_rows_are_an_image_or_a_refusal(rows, scale):
    try:
        found = pixels_of_rows(rows, "image", scale).shape
    except Refusal as refusal:
        found = refusal.status
    assert found in ((28, 28), 422)


@given(st.integers(0, 27), st.integers(0, 27), st.one_of(st.integers(0, 255), st.integers(-300, 600), st.floats(-1, 300)))
def test_one_odd_value_is_taken_exactly_or_named(row, column, value):
    rows = with_value(9, 0 if row else 1, 0)
    rows[row][column] = value
    if value == int(value) and 0 <= value <= 255:
        assert pixels_of_rows(rows, "image", None)[row, column] == int(value)
    else:
        with pytest.raises(Refusal) as found:
            pixels_of_rows(rows, "image", None)
        assert found.value.field == f"image[{row}][{column}]"


def test_rounding_above_1_is_1():
    assert pixels_of_rows(with_value(1.0000001), "image", 1)[3, 4] == 1
