"""budgetnet.data.augment against torchvision's functional transforms, image by image, with the same parameters."""

import math

import pytest
import torch

from budgetnet.data.augment import apply, augment, draw, is_identity
from budgetnet.definition import Augmentation

functional = pytest.importorskip("torchvision.transforms.v2.functional")
legacy = pytest.importorskip("torchvision.transforms.functional")
MODES = {"nearest": legacy.InterpolationMode.NEAREST, "bilinear": legacy.InterpolationMode.BILINEAR}
FULL = Augmentation(rotation=30, shift=0.2, zoom=0.3)


@pytest.fixture(scope="module")
def digits(mnist):
    """256 digits, and a bright border so that what happens at the edge counts too."""
    images = mnist.train_images[:256].float()
    images[128:, :, (0, -1), :] = 200
    images[128:, :, :, (0, -1)] = 90
    return images


def assert_same(ours, theirs, interpolation):
    assert ours.dtype == torch.float32
    assert ours.shape == theirs.shape
    if interpolation == "nearest":
        assert (ours == theirs).float().mean() >= 0.999
    else:
        assert (ours - theirs).abs().max() / 255 < 1e-5


def theirs_affine(images, parameters, interpolation, fill):
    height, width = images.shape[-2:]
    return torch.stack([
        legacy.affine(
            image, angle=-angle, translate=[right * width, down * height], scale=scale, shear=[0.0],
            interpolation=MODES[interpolation], fill=[fill],
        )
        for image, (angle, right, down, scale) in zip(images, parameters.tolist(), strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("fill", [0.0, 77.0])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("bound", [7, 180])
def test_rotation_is_torchvisions(digits, interpolation, fill, bound):
    parameters = draw(Augmentation(rotation=bound), len(digits), torch.Generator().manual_seed(1))
    angles = parameters[:, 0].tolist()
    assert min(angles) < -0.9 * bound
    assert max(angles) > 0.9 * bound
    pairs = zip(digits, angles, strict=True)
    theirs = torch.stack([legacy.rotate(image, angle, MODES[interpolation], fill=[fill]) for image, angle in pairs])
    assert_same(apply(digits, parameters, interpolation, fill), theirs, interpolation)
    again = torch.stack([functional.rotate(i, a, MODES[interpolation], fill=[fill]) for i, a in zip(digits, angles, strict=True)])
    assert_same(apply(digits, parameters, interpolation, fill), again, interpolation)


@pytest.mark.parametrize("fill", [0.0, 77.0])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("augmentation", [Augmentation(shift=0.2), Augmentation(zoom=0.3), FULL], ids=["shift", "zoom", "all"])
def test_shift_and_zoom_are_torchvisions(digits, interpolation, fill, augmentation):
    parameters = draw(augmentation, len(digits), torch.Generator().manual_seed(2))
    theirs = theirs_affine(digits, parameters, interpolation, fill)
    assert_same(apply(digits, parameters, interpolation, fill), theirs, interpolation)


@pytest.mark.parametrize("interpolation", MODES)
def test_oblong_colour_images_too(interpolation):
    images = torch.randint(0, 256, (64, 3, 9, 14), generator=torch.Generator().manual_seed(0)).float()
    parameters = draw(FULL, 64, torch.Generator().manual_seed(3))
    assert_same(apply(images, parameters, interpolation, 5.0), theirs_affine(images, parameters, interpolation, 5.0), interpolation)


def test_positive_angles_turn_counter_clockwise():
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 4] = 1  # at three o'clock
    turned = apply(image, torch.tensor([[90.0, 0, 0, 1]]), "nearest", 0.0)
    assert turned.nonzero().tolist() == [[0, 0, 0, 2]], "at twelve o'clock"


def test_positive_shifts_go_right_and_down():
    image = torch.zeros(1, 1, 10, 20)
    image[0, 0, 2, 4] = 1
    assert apply(image, torch.tensor([[0, 0.1, 0.2, 1]]), "nearest", 0.0).nonzero().tolist() == [[0, 0, 4, 6]]


@pytest.mark.parametrize("interpolation", MODES)
def test_parameters_that_change_nothing_change_nothing(digits, interpolation):
    nothing = torch.tensor([0.0, 0, 0, 1]).expand(len(digits), 4)
    result = apply(digits, nothing, interpolation, 9.0)
    assert torch.allclose(result, digits, atol=0 if interpolation == "nearest" else 1e-2)


@pytest.mark.parametrize(("rotation", "shift", "zoom"), [(0, 0, 0), (180, 0, 0), (0, 0.9, 0), (0, 0, 0.9), (7, 0.1, 0.5)])
def test_parameters_stay_within_their_bounds(rotation, shift, zoom):
    parameters = draw(Augmentation(rotation, shift, zoom), 5000, torch.Generator().manual_seed(0))
    assert parameters.shape == (5000, 4)
    assert parameters.dtype == torch.float32
    for column, (centre, bound) in enumerate(((0, rotation), (0, shift), (0, shift), (1, zoom))):
        assert ((parameters[:, column] - centre).abs() <= bound + 1e-6).all()


def test_parameters_are_uniform_and_independent():
    parameters = draw(FULL, 20_000, torch.Generator().manual_seed(0)) - torch.tensor([0.0, 0, 0, 1])
    scaled = parameters / torch.tensor([30, 0.2, 0.2, 0.3])
    assert scaled.mean(0).abs().max() < 0.03
    assert (scaled.std(0) - 1 / math.sqrt(3)).abs().max() < 0.01
    assert (torch.corrcoef(scaled.T) - torch.eye(4)).abs().max() < 0.03


def test_only_what_varies_consumes_random_numbers():
    alone = draw(Augmentation(rotation=10), 8, torch.Generator().manual_seed(4))
    with_shift = draw(Augmentation(rotation=10, shift=0.1), 8, torch.Generator().manual_seed(4))
    assert torch.equal(alone[:, 1:], torch.tensor([0.0, 0, 1]).expand(8, 3))
    assert torch.equal(alone[:, 0], with_shift[:, 0])


def test_augmenting_by_nothing_draws_nothing(digits):
    generator = torch.Generator().manual_seed(5)
    before = generator.get_state()
    assert augment(digits, Augmentation(fill=9.0), generator) is digits
    assert torch.equal(generator.get_state(), before)
    assert is_identity(Augmentation())
    assert not is_identity(Augmentation(zoom=0.1))


def test_augmenting_repeats_with_its_generator_and_leaves_its_input(digits):
    original = digits.clone()
    global_state = torch.get_rng_state()
    first = augment(digits, FULL, torch.Generator().manual_seed(6))
    assert torch.equal(augment(digits, FULL, torch.Generator().manual_seed(6)), first)
    assert not torch.equal(augment(digits, FULL, torch.Generator().manual_seed(7)), first)
    assert torch.equal(digits, original)
    assert torch.equal(torch.get_rng_state(), global_state)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("interpolation", MODES)
def test_a_cuda_graph_gives_what_the_cpu_gives(digits, interpolation):
    parameters = draw(FULL, len(digits), torch.Generator().manual_seed(8))
    expected = apply(digits, parameters, interpolation, 3.0)
    images, static = digits.cuda(), parameters.cuda()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        apply(images, static, interpolation, 3.0)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = apply(images, static, interpolation, 3.0)
    graph.replay()
    assert_same(result.cpu(), expected, interpolation)
