"""What reaches a backend: nothing but float32 pixels from 0 to 1 of the right shape."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from budgetnet.inference.contract import Contract, blank_images
from budgetnet.inference.errors import InputError
from tests.inference_demo import CONTRACT, images


def taken(values, contract=CONTRACT):
    return contract.pixels(contract.checked(values))


def test_bytes_and_floats_mean_the_same():
    pictures = images(3)
    expected = pictures.astype(np.float64) / 255
    for form in (pictures, pictures[:, 0], (pictures / 255).astype(np.float32), (pictures[:, 0] / 255).astype(np.float32)):
        found = taken(form)
        assert (found.dtype, found.shape) == (np.float32, (3, 1, 28, 28))
        assert found.flags.c_contiguous
        assert np.abs(found - expected).max() < 1e-7
    assert np.abs(taken((pictures / 255).astype(np.float16)) - expected).max() < 1e-3


def test_a_float_image_is_not_copied_and_a_strided_one_is():
    floats = (images(2) / 255).astype(np.float32)
    assert np.shares_memory(taken(floats), floats)
    strided = np.asfortranarray(floats)
    assert taken(strided).flags.c_contiguous


@pytest.mark.parametrize("kind", ["<i8", ">i2", "u4", "i1"])
def test_whole_numbers_of_any_type_are_bytes(kind):
    pictures = images(3) // 2
    assert np.array_equal(taken(pictures.astype(kind)), taken(pictures))


@pytest.mark.parametrize("kind", ["<f8", ">f4", "longdouble"])
def test_floats_of_any_type_are_floats(kind):
    pictures = images(3) / 255
    assert np.array_equal(taken(pictures.astype(kind)), taken(pictures.astype(np.float32)))


def test_rounding_is_no_error():
    floats = np.linspace(-1e-7, 1 + 1e-7, 784).reshape(1, 28, 28)
    found = taken(floats)
    assert (found.min(), found.max()) == (0, 1)


def test_blank_images_are_found_whatever_their_paper():
    speck, faint, dash = np.zeros((3, 28, 28), np.uint8)
    speck[3, 4:9] = 255
    faint[3:9] = 11
    dash[3, 4:10] = 12
    pictures = np.stack([speck, faint, dash, images(1)[0, 0], np.full_like(speck, 255)])
    assert blank_images(pictures) == [0, 1, 4]
    assert blank_images(255 - pictures) == [0, 1, 4]
    assert blank_images(pictures[:, None] / np.float32(255)) == [0, 1, 4]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((1, 27, 27), np.uint8), r"shape \(1, 27, 27\); expected \(N, 28, 28\) or \(N, 1, 28, 28\)"),
        (np.zeros((1, 3, 28, 28), np.uint8), r"\(1, 3, 28, 28\); expected"),
        (np.zeros((28, 28), np.uint8), r"\(28, 28\); expected"),
        (np.zeros((0, 28, 28), np.uint8), "no images: the shape is"),
        (np.zeros((1, 28, 28), complex), r"complex128; expected uint8 .* or float32"),
        (np.full((1, 28, 28), 256), "whole numbers from 256 to 256; expected 0 to 255, or floats from 0 to 1"),
        (np.full((1, 28, 28), -1), "whole numbers from -1 to -1; expected"),
        (np.full((1, 28, 28), 255.0), r"run from 255 to 255; expected floats .*images\.astype\('uint8'\) if they are"),
        (np.full((1, 28, 28), 1.0001), "run from 1.0001"),
        (np.zeros((1, 28, 28), bool), "bool; expected"),
        (np.full((1, 28, 28), "7"), "expected uint8"),
        ([[["a"] * 28] * 28], "expected uint8"),
        (np.full((1, 28, 28), 255, np.float32), "run from 255 to 255; expected floats from 0 to 1"),
        (np.full((1, 28, 28), -0.1, np.float32), "run from -0.1"),
        (np.full((1, 28, 28), np.inf, np.float32), "inf"),
    ],
)
def test_refused_with_a_sentence(values, sentence):
    with pytest.raises(InputError, match=sentence):
        taken(values)


def test_nan_is_named_with_its_image():
    floats = np.zeros((5, 28, 28), np.float32)
    floats[3, 4, 5] = np.nan
    with pytest.raises(InputError, match="image 3 holds NaN"):
        taken(floats)


def test_ragged_lists_are_refused():
    with pytest.raises(InputError, match="expected"):
        taken([[[0, 1], [2]]])


def test_colour_needs_its_channels():
    colour = Contract((3, 32, 32), 10, 0.5, 0.5)
    assert taken(images(2, shape=(3, 32, 32)), colour).shape == (2, 3, 32, 32)
    with pytest.raises(InputError, match=r"expected \(N, 3, 32, 32\)"):
        taken(np.zeros((2, 32, 32), np.uint8), colour)


def test_survives_its_json():
    assert Contract.from_json(CONTRACT.as_json()) == CONTRACT


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.float32, np.float16, np.float64, np.int32]),
        arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    )
)
def test_anything_else_is_an_input_error(values):
    small = Contract((1, 2, 3), 10, 0.0, 1.0)
    try:
        found = taken(values, small)
    except InputError:
        return
    assert found.dtype == np.float32
    assert found.shape[1:] == (1, 2, 3)
    assert 0 <= found.min() <= found.max() <= 1
