"""budgetnet.inference.digit_form: photographs and drawings in MNIST's form, judged by what a trained network sees in them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from budgetnet.catalogue import load_default
from budgetnet.inference import digit_form
from budgetnet.inference.errors import InputError
from budgetnet.weights import load_trained
from tests import photographed_paper
from tests.photographs import KINDS, drawn, photograph

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
hnp = pytest.importorskip("hypothesis.extra.numpy")
given = hypothesis.given

WEIGHTS = Path(__file__).parent.parent / "results/cpu-epyc-2.6ghz-2-cores/step-10/seed-0/weights.safetensors"
SEVEN = drawn(7, 12)


def mnist_form(picture):
    return digit_form.mnist_form(picture).image


@pytest.fixture(scope="module")
def predict():
    model = load_trained(load_default()["step-13"], WEIGHTS).model

    def digits(forms):
        with torch.inference_mode():
            return model((torch.from_numpy(np.stack(forms))[:, None] / 255 - 0.1307) / 0.3081).argmax(1).numpy()

    return digits


@pytest.fixture(scope="module")
def seven():
    return mnist_form(SEVEN)


def difference(first, second):
    """The mean difference of two forms' pixels, in levels."""
    return np.abs(first.astype(int) - second.astype(int)).mean()


def is_formed(form):
    """White on black, about 20 × 20 large, its centre of mass in the middle."""
    assert (form.shape, form.dtype) == ((28, 28), np.uint8)
    rows, columns = np.nonzero(form > 127)
    assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22
    centre = (np.indices(form.shape) * form).sum((1, 2)) / form.sum()
    assert np.abs(centre - 14).max() < 1
    assert form.max() > 220
    assert np.median(form) == 0


# --- what a trained network sees --------------------------------------------------------------------------------------


def test_photographs_are_recognized(mnist, predict):
    rng = np.random.default_rng(20)
    images, labels = mnist.test_images[::16, 0].numpy(), mnist.test_labels[::16].numpy()
    pictures = [photograph(image, rng) for image in images]
    forms, refused = [], np.zeros(len(pictures), bool)
    for place, (picture, _) in enumerate(pictures):
        try:
            forms.append(mnist_form(picture))
        except InputError:
            forms.append(np.zeros((28, 28), np.uint8))
            refused[place] = True
    right = (predict(forms) == labels) & ~refused
    assert len(right) == 625
    assert right.mean() >= 0.97
    for kind in KINDS:
        assert right[[kind in kinds for _, kinds in pictures]].mean() >= 0.96, kind


@pytest.fixture(scope="module")
def sources(mnist):
    images, labels = mnist.test_images[:2000, 0].numpy(), mnist.test_labels[:2000].numpy()
    return [photographed_paper.from_images(images, labels), photographed_paper.with_pen()]


@pytest.mark.parametrize("condition", photographed_paper.CONDITIONS)
def test_photographs_on_paper_are_recognized(condition, sources, predict):
    rng = np.random.default_rng(7)
    pictures = [photographed_paper.photograph(digit, condition, sources, rng) for digit in range(10)]
    right = (predict([mnist_form(picture) for picture in pictures]) == range(10)).sum()
    assert right >= (5 if condition == "glare" else 8)


def test_a_second_digit_is_warned_of(sources):
    rng = np.random.default_rng(3)
    for digit in range(10):
        alone, among = (photographed_paper.photograph(digit, condition, sources, rng) for condition in ("clean", "several digits"))
        assert digit_form.mnist_form(alone).warning is None
        assert "several digits" in digit_form.mnist_form(among).warning


def shapes(*drawings):
    """A white picture with black shapes: a method of ImageDraw, its coordinates and its keywords for each."""
    image = Image.new("RGB", (360, 320), "white")
    for name, coordinates, keywords in drawings:
        getattr(ImageDraw.Draw(image), name)(coordinates, **keywords)
    return np.asarray(image)


def vignette():
    rows, columns = np.mgrid[:320, :360]
    return np.clip(255 - 0.5 * np.hypot(rows - 100, columns - 150), 0, 255).astype(np.uint8)


CIRCLE = "ellipse", (90, 70, 270, 250), {"outline": "black", "width": 6}
FILLED = {"fill": "black"}
BARS = [("line", (60 + 60 * place, 30, 60 + 60 * place, 290), {"fill": "black", "width": 8}) for place in range(5)]
GRID = [("line", (60, 30 + 65 * place, 300, 30 + 65 * place), {"fill": "black", "width": 8}) for place in range(5)] + BARS


@pytest.mark.parametrize(
    ("picture", "warning"),
    [
        (shapes(("ellipse", (60, 60, 200, 190), FILLED)), digit_form.NO_STROKES),
        (shapes(("rectangle", (60, 60, 220, 200), FILLED)), digit_form.NO_STROKES),
        (shapes(CIRCLE, ("line", (90, 160, 270, 160), FILLED), ("line", (180, 70, 180, 250), FILLED)), digit_form.TOO_MANY_HOLES),
        (shapes(*GRID), digit_form.TOO_MANY_HOLES),
        (SEVEN[:, SEVEN.min(0).argmin() + 20 :], digit_form.CUT_OFF),
        (vignette(), digit_form.CUT_OFF),
    ],
    ids=["disc", "rectangle", "crossed circle", "grid", "cut off", "vignette"],
)
def test_a_doubtful_form_has_a_warning(picture, warning):
    assert warning in (digit_form.mnist_form(picture).warning or "")


@pytest.mark.parametrize("digit", range(10))
@pytest.mark.parametrize("pen", [2, 12, 30])
def test_a_digit_has_no_warning(digit, pen):
    assert digit_form.mnist_form(drawn(digit, pen)).warning is None


@pytest.mark.parametrize("digit", [0, 2, 3, 4, 5, 6, 7, 8, 9])
def test_a_digit_that_fills_its_picture_has_no_warning(digit):
    picture = drawn(digit, 12)
    rows, columns = (np.flatnonzero((picture < 128).any(axis)) for axis in (1, 0))
    assert digit_form.mnist_form(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).warning is None


def test_mnist_s_own_digits_hardly_change(mnist, predict):
    images, labels = mnist.test_images[::10, 0].numpy(), mnist.test_labels[::10].numpy()
    forms = [mnist_form(image) for image in images]
    before, after = (100 * (predict(list(some)) == labels).mean() for some in (images, forms))
    assert after > before - 0.3
    assert difference(np.stack(forms), images) < 1


@pytest.mark.parametrize("pen", [1, 2, 3, 5, 8, 12, 16, 20, 40])
def test_drawings_are_recognized_with_any_pen(pen, predict):
    right = predict([mnist_form(drawn(digit, pen)) for digit in range(10)]) == np.arange(10)
    assert right.sum() >= 9


def test_a_small_digit_on_a_large_page(mnist, predict):
    rng = np.random.default_rng(0)
    images, labels = mnist.test_images[5:2000:200, 0].numpy(), mnist.test_labels[5:2000:200].numpy()
    forms = []
    for image in images:
        page = 230 + 6 * rng.standard_normal((1200, 1600), dtype=np.float32)
        top, left = rng.integers(0, 1100), rng.integers(0, 1500)
        page[top : top + 84, left : left + 84] -= 0.7 * np.asarray(Image.fromarray(image).resize((84, 84)))
        forms.append(mnist_form(np.clip(page, 0, 255).astype(np.uint8)))
    assert (predict(forms) == labels).sum() >= 9


# --- what the form does not depend on ---------------------------------------------------------------------------------


@given(st.integers(0, 9), st.integers(24, 700), st.floats(0.6, 1.6), st.integers(0, 2**32 - 1))
@hypothesis.settings(max_examples=60)
def test_any_size_and_any_two_colours(digit, side, ratio, seed):
    rng = np.random.default_rng(seed)
    paper, ink = rng.integers(0, 256, (2, 3))
    hypothesis.assume(np.linalg.norm(paper - ink) > 60)
    coverage = np.asarray(Image.fromarray(drawn(digit, 14, paper=0, ink=255)).resize((side, round(side * ratio))))[..., None] / 255
    is_formed(mnist_form(np.rint(paper + (ink - paper) * coverage).astype(np.uint8)))


@given(st.integers(0, 9), st.sampled_from([3, 8, 20]), st.integers(28, 400))
@hypothesis.settings(max_examples=20)
def test_a_negative_is_the_same_digit(digit, pen, side):
    picture = np.asarray(Image.fromarray(drawn(digit, pen)).resize((side, side)))
    assert difference(mnist_form(255 - picture), mnist_form(picture)) < 1


@given(st.integers(0, 320), st.integers(0, 220))
@hypothesis.settings(max_examples=20)
def test_where_the_digit_is_does_not_matter(seven, top, left):
    canvas = np.full((600, 500, 3), 255, np.uint8)
    canvas[top : top + 280, left : left + 280] = SEVEN[..., None]
    assert difference(mnist_form(canvas), seven) < 6


def test_grey_and_colour_are_the_same(seven):
    assert (mnist_form(np.repeat(SEVEN[..., None], 3, 2)) == seven).all()


def test_colours_of_the_same_brightness_differ(seven):
    red, green = np.array([200, 60, 60]), np.array([60, 142, 60])  # as bright as each other
    assert difference(mnist_form(np.where(SEVEN[..., None] > 127, red, green).astype(np.uint8)), seven) < 3


def test_thin_strokes_become_as_wide_as_mnist_s(mnist):
    usual = np.median((mnist.test_images[:500] > 127).sum((1, 2, 3)))
    for pen in (1, 3, 10):
        inked = np.median([(mnist_form(drawn(digit, pen)) > 127).sum() for digit in range(10)])
        assert 0.7 * usual < inked < 1.3 * usual


def test_specks_go_and_parts_stay(seven):
    broken = SEVEN.copy()
    broken[110:124] = 255
    form = mnist_form(broken)
    assert difference(form, seven) < 12
    specked = broken.copy()
    specked[20:26, 20:26] = specked[250:256, 30:40] = specked[60:63, 240:250] = 0
    assert difference(mnist_form(specked), form) < 1


def test_shading_leaves_no_trace(seven):
    light = 1 - 0.4 * np.linspace(0, 1, 280)[:, None] * np.linspace(0.5, 1, 280)
    assert difference(mnist_form((SEVEN * light).astype(np.uint8)), seven) < 4


# --- what is refused --------------------------------------------------------------------------------------------------


@given(
    hnp.arrays(np.uint8, st.one_of(hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), st.tuples(*[st.integers(1, 40)] * 2, st.just(3))))
)
def test_any_pixels_give_a_form_or_an_input_error(picture):
    try:
        form = mnist_form(picture)
    except InputError:
        return
    assert (form.shape, form.dtype) == ((28, 28), np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (28, 28, 3), (5, 300), (400, 300, 3)])
@pytest.mark.parametrize("level", [0, 7, 255])
def test_a_uniform_picture_is_refused(shape, level):
    with pytest.raises(InputError, match=r"nothing on the picture: .* expected one digit .*: write it darker"):
        mnist_form(np.full(shape, level, np.uint8))


def test_an_even_slope_is_refused():
    with pytest.raises(InputError, match="nothing on the picture"):
        mnist_form(np.tile(np.linspace(90, 210, 300).astype(np.uint8), (200, 1)))


@pytest.mark.parametrize("strength", [1, 5, 20, 60, 300])
@pytest.mark.parametrize("shape", [(14, 14), (28, 28), (28, 28, 3), (90, 60, 3), (300, 400, 3)])
def test_nothing_but_noise_is_refused(shape, strength):
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(128, strength, shape)
        with pytest.raises(InputError, match=r"nothing (on|but noise on) the picture"):
            mnist_form(np.clip(noise, 0, 255).astype(np.uint8))


def test_nothing_but_specks_is_refused():
    spots = np.random.default_rng(0).random((200, 300)) < 0.02
    with pytest.raises(InputError, match=r"nothing (on|but noise on) the picture"):
        mnist_form(np.where(spots, 0, 240).astype(np.uint8))


@pytest.mark.parametrize("seed", range(10))
def test_a_picture_of_two_by_two_pixels_is_refused(seed):
    with pytest.raises(InputError):
        mnist_form(np.random.default_rng(seed).integers(0, 256, (2, 2, 3), dtype=np.uint8))


def test_a_digit_of_a_few_pixels_is_refused():
    tiny = np.asarray(Image.fromarray(SEVEN).resize((6, 6), Image.Resampling.BOX))
    with pytest.raises(InputError, match=r"pixels large; expected 6 at least|nothing but noise"):
        mnist_form(tiny)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((28, 28), np.float32), np.zeros((28, 28, 4), np.uint8), np.zeros((1, 28, 28, 3), np.uint8), np.zeros((0, 5), np.uint8)],
    ids=["type", "alpha", "dimensions", "none"],
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(InputError, match=r"the picture is .*; expected uint8 \(H, W\) or \(H, W, 3\)"):
        mnist_form(picture)
