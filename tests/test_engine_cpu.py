"""The C kernels against plain torch: the same logits, gradients, statistics and dropout; whatever the network."""

import copy
import re

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgetnet.engine.cpu import build
from budgetnet.engine.cpu.build import KernelsUnavailable
from budgetnet.engine.cpu.lowering import NotLowerable
from budgetnet.engine.cpu.network import KernelNetwork, allow_threads
from budgetnet.models import PlainCNN
from tests.kernel_oracle import digits, kernel_step, load_or_skip, torch_step

SHAPE = (1, 28, 28)


@pytest.fixture(scope="module", autouse=True)
def _compiler():
    load_or_skip()


def both(model, images, labels, threads=1, library=None):
    """(logits, model) of plain torch and of the kernels after one training pass from the same weights and random state."""
    reference, own = copy.deepcopy(model), copy.deepcopy(model)
    network = KernelNetwork(own, tuple(images.shape[1:]), len(images), threads, library)
    return (torch_step(reference, images, labels), reference), (kernel_step(network, images, labels), own)


def assert_equal(reference, own):
    """Equal but for rounding.

    Some gradients are zero but for rounding (a scale before another normalization). So a parameter's tolerance has a floor
    in the network's largest gradient, and is tight above it.
    """
    torch.testing.assert_close(own[0], reference[0], rtol=1e-4, atol=1e-5)
    largest = max(parameter.grad.abs().max().item() for parameter in reference[1].parameters())
    for (name, expected), actual in zip(reference[1].named_parameters(), own[1].parameters(), strict=True):
        difference, scale = (actual.grad - expected.grad).norm().item(), expected.grad.norm().item()
        assert difference <= 1e-3 * scale + 1e-5 * largest + 1e-7, f"{name}: off by {difference} of {scale}"
    for expected, actual in zip(reference[1].buffers(), own[1].buffers(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


widths = st.lists(st.integers(2, 17), min_size=5, max_size=5).map(tuple)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    widths,
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([1, 3]),
    st.integers(8, 40),
    st.booleans(),
)
def test_any_plain_network_equals_torch(c, bias, norm, dropout, classifier, count, pointwise):
    description = PlainCNN(
        widths=c,
        bias=bias,
        norm=norm,
        dropout=dropout,
        classifier_kernel=classifier,
        consolidate=(max(1, c[1] - 2), max(1, c[3] - 2)) if pointwise else (),
    )
    torch.manual_seed(1)
    model = description.build(SHAPE, 10)
    assert_equal(*both(model, *digits(count, SHAPE)))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 31, 29), (2, 22, 30)])
def test_any_image_shape_odd_sizes_too(shape):
    torch.manual_seed(1)
    model = PlainCNN(widths=(5, 6, 7, 8, 9), dropout=0.2).build(shape, 10)
    assert_equal(*both(model, *digits(18, shape)))


def test_equal_maxima_hand_the_gradient_to_the_same_pixel():
    model = PlainCNN(widths=(4, 4, 4, 4, 4)).build(SHAPE, 10)
    images, labels = torch.zeros(16, *SHAPE), torch.zeros(16, dtype=torch.int64)
    images[:, :, 7:21, 7:21] = 1.0  # flat areas: every pooling window is a tie
    assert_equal(*both(model, images, labels))


def test_evaluation_uses_running_statistics_and_no_dropout():
    torch.manual_seed(1)
    model = PlainCNN(widths=(4, 4, 4, 4, 4), dropout=0.5).build(SHAPE, 10)
    model(torch.randn(32, *SHAPE))
    images, _ = digits(20, SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(
            KernelNetwork(model, SHAPE, 20).forward(images), model.eval()(images), rtol=1e-4, atol=1e-5
        )


def test_fewer_images_than_the_capacity_and_the_next_batch_is_not_disturbed():
    torch.manual_seed(1)
    model = PlainCNN(widths=(4, 4, 4, 4, 4)).build(SHAPE, 10).eval()
    network = KernelNetwork(model, SHAPE, 64)
    many, few = digits(64, SHAPE)[0], digits(3, SHAPE, seed=1)[0]
    with torch.no_grad():
        for images in (many, few, many[:17], many):
            torch.testing.assert_close(network.forward(images), model(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["conv1.weight", "conv3.weight", "norm2.weight", "classifier.weight"])
def test_a_value_that_is_not_finite_reaches_the_logits(name, broken):
    model = PlainCNN(widths=(4, 4, 4, 4, 4)).build(SHAPE, 10)
    with torch.no_grad():
        dict(model.named_parameters())[name].view(-1)[0] = broken
    images, _ = digits(16, SHAPE)
    assert not model(images).isfinite().all()
    assert not KernelNetwork(model, SHAPE, 16).forward(images, training=True).isfinite().all()


def test_one_value_per_channel_cannot_be_normalized():
    model = PlainCNN(widths=(4, 4), pool_after=(), classifier_kernel=1).build((1, 5, 5), 10)
    with pytest.raises(ValueError, match="more than one value per channel"):
        KernelNetwork(model, (1, 5, 5), 4).forward(torch.zeros(1, 1, 5, 5), training=True)


def test_a_network_too_large_for_its_memory_is_left_to_torch():
    model = PlainCNN(widths=(512, 512, 512, 512, 512)).build(SHAPE, 10)
    with pytest.raises(NotLowerable, match="working memory"):
        KernelNetwork(model, SHAPE, 256)


def test_threads_may_be_more_from_one_step_to_the_next():
    network = KernelNetwork(PlainCNN(widths=(4, 4), pool_after=(1,)).build(SHAPE, 10), SHAPE, capacity=64)
    images = torch.randn(64, *SHAPE)
    alone = network.forward(images)
    try:
        allow_threads(lambda: 3)
        assert network.threads_for(64) == 3
        assert network.threads_for(1) == 1  # a block of images is the smallest piece of work
        assert torch.equal(network.forward(images), alone)
    finally:
        allow_threads(lambda: 1)
    assert network.threads_for(64) == 1


def test_number_of_threads_changes_no_bit():
    torch.manual_seed(1)
    model = PlainCNN(widths=(10, 10, 10, 12, 14), dropout=0.05).build(SHAPE, 10)
    images, labels = digits(64, SHAPE)
    _, one = both(model, images, labels, threads=1)
    _, two = both(model, images, labels, threads=2)
    assert torch.equal(one[0], two[0])
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(one[1].parameters(), two[1].parameters(), strict=True))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(5, 1, 28, 28), "expected 1 to 4"),
        (torch.zeros(0, 1, 28, 28), "expected 1 to 4"),
        (torch.zeros(2, 1, 27, 27), "expected 1 to 4"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.float64), r"expected torch\.float32"),
    ],
)
def test_wrong_images_are_refused_before_they_reach_the_kernels(images, message):
    network = KernelNetwork(PlainCNN(widths=(4, 4, 4, 4, 4)).build(SHAPE, 10), SHAPE, 4)
    with pytest.raises(ValueError, match=message):
        network.forward(images)


def test_backward_needs_a_training_forward():
    network = KernelNetwork(PlainCNN(widths=(4, 4, 4, 4, 4)).build(SHAPE, 10), SHAPE, 4)
    network.forward(torch.zeros(4, *SHAPE))
    with pytest.raises(ValueError, match="after forward"):
        network.backward(torch.zeros(4, 10))


def test_no_compiler_is_said_so(monkeypatch):
    build.load.cache_clear()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(KernelsUnavailable, match="no C compiler"):
        build.load()
    build.load.cache_clear()


def test_a_compiler_that_fails_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "false")
    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path))
    build.load.cache_clear()
    with pytest.raises(KernelsUnavailable, match="false could not compile"):
        build.load()
    build.load.cache_clear()
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_s_message_may_have_any_encoding(monkeypatch, tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\nprintf 'error: v\\351rifiez \\377\\n' >&2\nexit 1\n")
    compiler.chmod(0o755)
    assert _refusal_with(monkeypatch, tmp_path, CC=str(compiler)).endswith("could not compile the kernels (error: v\\xe9rifiez \\xff)")


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        ("gcc '-O2", r"the compiler \"gcc '-O2\" is no command \(No closing quotation\); set CC to one such as 'gcc'"),
        ("  ", "the compiler '  ' is no command; set CC to one such as 'gcc', or unset it"),
        ("/no/c\udcffc", r"/no/c\\udcffc could not be run"),
    ],
)
def test_a_compiler_that_is_no_command_is_said_so(monkeypatch, tmp_path, compiler, said):
    refusal = _refusal_with(monkeypatch, tmp_path, CC=compiler)
    assert re.search(said, refusal)
    refusal.encode()  # a log can hold it


def _refusal_with(monkeypatch, tmp_path, **environment):
    for name, value in {**environment, "BUDGETNET_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    build.load.cache_clear()
    with pytest.raises(KernelsUnavailable) as refused:
        build.load()
    build.load.cache_clear()
    return str(refused.value)
