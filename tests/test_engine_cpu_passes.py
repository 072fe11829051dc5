"""Every pass of the C kernels against plain torch in float64 and float32, on every instruction set that this machine can run."""

import copy
import ctypes
import math
import os
import platform
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn

from budgetnet.engine.cpu import build
from budgetnet.engine.cpu.build import KernelsUnavailable
from budgetnet.engine.cpu.network import KernelNetwork
from budgetnet.engine.paths import KernelSGD
from tests.kernel_oracle import (
    assert_one_step_equals_float64,
    digits,
    gradients,
    is_stable,
    kernel_step,
    norm_of,
    torch_step,
)

CLASSES = 5
CHANNELS = st.sampled_from([1, 2, 3, 5, 8, 17])
SIDES = st.integers(6, 11)
EXAMPLES = settings(
    max_examples=6,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    deadline=None,
)


def libraries():
    """Names and flags: the machine's own instruction set, smaller ones, wider vectors than the registers, and clang."""
    found = {"native": ()}
    if platform.machine() in ("x86_64", "AMD64"):
        flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        found |= {"sse2": ("-march=x86-64", "-mtune=generic")}
        if " avx512f " in flags:  # elsewhere it is the native one
            found |= {"avx2": ("-march=haswell",)}
        if " avx2 " in flags:
            found |= {"avx2-16-lanes": ("-march=haswell", "-DLANES=16")}
    if shutil.which("clang"):
        found |= {"clang": ("clang",)}
    return found


@pytest.fixture(scope="module", params=libraries().items(), ids=lambda item: item[0])
def library(request):
    name, flags = request.param
    before = os.environ.get("CC")
    try:
        if name == "clang":
            os.environ["CC"], flags = "clang", ()
        return build.load.__wrapped__(flags)  # not one that another compiler made
    except KernelsUnavailable as error:
        pytest.skip(f"the kernels: {error}")
    finally:
        if before is None:
            os.environ.pop("CC", None)
        else:
            os.environ["CC"] = before


class Residual(nn.Module):
    def __init__(self, body, after):
        super().__init__()
        self.body, self.after = body, after

    def forward(self, images):
        return self.after(self.body(images) + images)


class Repeated(nn.Module):
    """One block applied several times, with a normalization of its own each time."""

    def __init__(self, channels, times):
        super().__init__()
        self.block = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.PReLU(channels)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(times))

    def forward(self, images):
        for norm in self.norms:
            images = self.activation(norm(self.block(images)))
        return images


class Branches(nn.Module):
    """Two paths from one tensor, one with a stride, and a shortcut, as in a residual network that halves the size."""

    def __init__(self, channels, wide):
        super().__init__()
        self.one = nn.Sequential(
            nn.Conv2d(channels, wide, 3, 2, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, 1, 1),
            nn.BatchNorm2d(wide),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, 2, bias=False), nn.BatchNorm2d(wide))

    def forward(self, images):
        return torch.relu(self.one(images) + self.shortcut(images))


class PreActivation(nn.Module):
    """The sum of a residual block is normalized and also added again."""

    def __init__(self, channels):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(channels), nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, images):
        images = images + self.conv(torch.relu(self.norm(images)))
        return images + self.conv(torch.relu(self.norm(images)))


def tied(channels):
    """Two convolutions with one weight and biases of their own."""
    first, second = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
    second.weight = first.weight
    return first, nn.ReLU(), second


def frozen(module, *names):
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in names)
    return module


ACTIVATIONS = {
    "ReLU": nn.ReLU,
    "ReLU6": nn.ReLU6,
    "LeakyReLU": lambda: nn.LeakyReLU(0.1),
    "negative slope": lambda: nn.LeakyReLU(-0.2),
    "PReLU": nn.PReLU,
}

# (name, layers for c channels, whether they are random or need several images)
PASSES = {
    "conv → activation → norm": lambda c, act: [nn.Conv2d(c, 6, 3, padding=1), act(), nn.BatchNorm2d(6)],
    "conv → norm → activation": lambda c, act: [nn.Conv2d(c, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), act()],
    "conv 1×1": lambda c, act: [nn.Conv2d(c, 7, 1), act()],
    "conv 5×5": lambda c, act: [nn.Conv2d(c, 4, 5, padding=2), act()],
    "conv 7×7": lambda c, act: [nn.Conv2d(c, 3, 7, padding="same"), act()],
    "conv 4×4, same": lambda c, act: [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(c, 3, 4), act()],
    "conv 3×5": lambda c, act: [nn.Conv2d(c, 4, (3, 5), padding=(1, 2)), act()],
    "stride 2": lambda c, act: [nn.Conv2d(c, 6, 3, stride=2, padding=1), act(), nn.Conv2d(6, 3, 1, stride=2)],
    "5×5, stride 2": lambda c, act: [nn.Conv2d(c, 6, 3, padding=1), nn.Conv2d(6, 4, 5, stride=2, padding=2), act()],
    "dilation": lambda c, act: [nn.Conv2d(c, 4, 1), nn.Conv2d(4, 4, 3, padding=2, dilation=2), act()],
    "depthwise": lambda c, act: [
        nn.Conv2d(c, c, 3, padding=1, groups=c),
        act(),
        nn.Conv2d(c, 6, 1),
        nn.BatchNorm2d(6),
        act(),
    ],
    "depthwise, stride 2": lambda c, act: [
        nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, groups=c),
        nn.BatchNorm2d(2 * c),
        act(),
    ],
    "groups": lambda c, act: [nn.Conv2d(c, 8, 1), nn.Conv2d(8, 12, 3, groups=4), act()],
    "max pooling 2": lambda c, act: [nn.Conv2d(c, 5, 3, padding=1), nn.BatchNorm2d(5), act(), nn.MaxPool2d(2)],
    "max pooling 3, stride 2": lambda c, act: [nn.Conv2d(c, 5, 3, padding=1), act(), nn.MaxPool2d(3, 2, 1)],
    "max pooling 3": lambda c, act: [nn.Conv2d(c, 5, 3, padding=1), act(), nn.MaxPool2d(3)],
    "average pooling 2": lambda c, act: [nn.Conv2d(c, 5, 3, padding=1), act(), nn.AvgPool2d(2)],
    "average pooling 3, stride 2": lambda c, act: [
        nn.Conv2d(c, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        act(),
        nn.AvgPool2d(3, 2, 1),
    ],
    "pooling, then norm": lambda c, act: [nn.Conv2d(c, 5, 3), nn.MaxPool2d(2), nn.BatchNorm2d(5), act()],
    "norm first": lambda c, act: [nn.BatchNorm2d(c), act(), nn.Conv2d(c, 5, 3)],
    "two norms": lambda c, act: [nn.Conv2d(c, 5, 3), nn.BatchNorm2d(5), act(), nn.BatchNorm2d(5, affine=False)],
    "moving average of all batches": lambda c, act: [nn.Conv2d(c, 5, 3), nn.BatchNorm2d(5, momentum=None), act()],
    "channel dropout": lambda c, act: [
        nn.Conv2d(c, 5, 3, padding=1),
        act(),
        nn.BatchNorm2d(5),
        nn.Dropout2d(0.3),
        nn.MaxPool2d(2),
    ],
    "elementwise dropout": lambda c, act: [nn.Conv2d(c, 5, 3, padding=1), act(), nn.MaxPool2d(2), nn.Dropout(0.3)],
    "both dropouts": lambda c, act: [nn.Conv2d(c, 5, 3), nn.Dropout(0.2), act(), nn.Dropout2d(0.2), nn.Dropout(0.1)],
    "residual": lambda c, act: [
        nn.Conv2d(c, 5, 3),
        Residual(nn.Sequential(nn.Conv2d(5, 5, 3, padding=1), nn.BatchNorm2d(5)), act()),
    ],
    "residual without norm": lambda c, act: [
        nn.Conv2d(c, 5, 3),
        act(),
        Residual(nn.Conv2d(5, 5, 3, padding=1), nn.MaxPool2d(2)),
    ],
    "branches": lambda c, act: [nn.Conv2d(c, 5, 3, padding=1), act(), Branches(5, 6)],
    "pre-activation": lambda c, act: [nn.Conv2d(c, 5, 3, padding=1), PreActivation(5), act()],
    "shared block": lambda c, act: [nn.Conv2d(c, 5, 3, padding=1), Repeated(5, 3), act()],
    "tied weights": lambda c, act: [nn.Conv2d(c, 5, 1), *tied(5), act()],
    "frozen weight": lambda c, act: [frozen(nn.Conv2d(c, 5, 3, padding=1), "weight"), nn.BatchNorm2d(5), act()],
    "frozen block": lambda c, act: [
        frozen(nn.Conv2d(c, 5, 3), "weight", "bias"),
        frozen(nn.BatchNorm2d(5), "weight", "bias"),
        act(),
    ],
    "frozen in the middle": lambda c, act: [
        nn.Conv2d(c, 5, 3),
        act(),
        frozen(nn.Conv2d(5, 5, 3, padding=1), "weight"),
        nn.ReLU(),
    ],
    "identity": lambda c, act: [nn.Conv2d(c, 5, 3), nn.Identity(), act(), nn.Dropout(0.0)],
}
HEADS = {
    "average and linear": lambda c, side: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, CLASSES)],
    "flatten and linear": lambda c, side: [
        nn.Flatten(),
        nn.Linear(c * side[0] * side[1], 7),
        nn.ReLU(),
        nn.Linear(7, CLASSES),
    ],
    "1×1 and average": lambda c, side: [nn.Conv2d(c, CLASSES, 1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()],
    "perceptron with norm and dropout": lambda c, side: [
        nn.Flatten(),
        nn.Linear(c * side[0] * side[1], 9),
        nn.ReLU(),
        nn.BatchNorm1d(9),
        nn.Dropout(0.2),
        nn.Linear(9, CLASSES),
    ],
}


def network(name, head, channels, side, activation="ReLU"):
    """The layers of ``name`` between images (channels, *side) and the classifier ``head``."""
    torch.manual_seed(1)
    body = nn.Sequential(*PASSES[name](channels, ACTIVATIONS[activation]))
    with torch.no_grad():
        for parameter in body.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))  # scales off 1, shifts off 0
        shape = copy.deepcopy(body)(torch.zeros(2, channels, *side)).shape
    return nn.Sequential(*body, *HEADS[head](shape[1], shape[2:]))


@pytest.mark.parametrize("name", PASSES)
@EXAMPLES
@given(
    channels=CHANNELS,
    side=st.tuples(SIDES, SIDES),
    activation=st.sampled_from([*ACTIVATIONS]),
    head=st.sampled_from([*HEADS]),
    count=st.integers(4, 18),
)
def test_one_step_equals_torch_in_float64(library, name, channels, side, activation, head, count):
    model = network(name, head, channels, side, activation)
    images, labels = digits(count, (channels, *side), CLASSES)
    assume(is_stable(model, images, labels))
    assert_one_step_equals_float64(model, images, labels, library)


@pytest.mark.parametrize("name", PASSES)
def test_fifty_steps_equal_torch_in_float32(library, name):
    model = network(name, "average and linear", 2, (9, 8))
    reference, own = copy.deepcopy(model), copy.deepcopy(model)
    shape, sizes = (2, 9, 8), [16, 16, 16, 5]
    kernels = KernelNetwork(own, shape, 16, library=library)
    for step in range(50):
        images, labels = digits(sizes[step % 4], shape, CLASSES, seed=step)
        torch_step(reference, images, labels, seed=step)
        kernel_step(kernels, images, labels, seed=step)
        for some in (reference, own):
            with torch.no_grad():
                for parameter in some.parameters():
                    if parameter.requires_grad:
                        parameter.sub_(0.01 * parameter.grad)
    difference = norm_of(a - b for a, b in zip(own.parameters(), reference.parameters(), strict=True))
    assert difference <= 1e-4 * norm_of(reference.parameters())
    for (name, a), b in zip(own.named_buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.parametrize("count", range(1, 16))
def test_a_last_batch_of_any_size(library, count):
    model = network("conv → activation → norm", "average and linear", 1, (8, 8))
    images, labels = digits(count, (1, 8, 8), CLASSES)
    assert_one_step_equals_float64(model, images, labels, library)


def test_inputs_far_from_zero_are_normalized_to_rounding(library):
    """Inputs of 100 ± 0.1: a variance from sums of squares would lose its digits."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 1),
        nn.BatchNorm2d(6),
        nn.Conv2d(6, 5, 3),
        nn.BatchNorm2d(5),
        *HEADS["average and linear"](5, None),
    )
    images, labels = digits(16, (1, 9, 9), CLASSES)
    images = 100 + 0.1 * images
    assert_one_step_equals_float64(model, images, labels, library)


def test_gradients_do_not_depend_on_the_number_of_threads(library):
    model = network("branches", "flatten and linear", 3, (11, 9))
    images, labels = digits(37, (3, 11, 9), CLASSES)
    found = []
    for threads in (1, 3):
        own = copy.deepcopy(model)
        kernel_step(KernelNetwork(own, (3, 11, 9), 40, threads, library), images, labels)
        found.append(gradients(own))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@EXAMPLES
@given(st.integers(1, 40), st.sampled_from([2, 10, 100]), st.integers(0, 1000))
def test_cross_entropy_is_torch_s(library, images, classes, seed):
    logits, labels = digits(images, (classes,), classes, seed)
    logits = (5 * logits).requires_grad_()
    expected = torch.nn.functional.cross_entropy(logits, labels)
    expected.backward()
    gradient, correct = torch.empty_like(logits), ctypes.c_int64()
    addresses = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (logits, labels, gradient)]
    loss = library.cross_entropy(*addresses[:2], images, classes, addresses[2], ctypes.byref(correct))
    assert loss == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    torch.testing.assert_close(gradient, logits.grad, rtol=1e-5, atol=1e-7)
    assert correct.value == int((logits.argmax(1) == labels).sum())


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_that_is_no_class_is_refused(library, label):
    model = network("conv 1×1", "average and linear", 1, (8, 8))
    images, labels = digits(4, (1, 8, 8), CLASSES)
    labels[2] = label
    with pytest.raises(IndexError, match=f"expected 0 to {CLASSES - 1}"):
        KernelNetwork(model, (1, 8, 8), 4, library=library).train(images, labels)


def test_cross_entropy_of_nan_is_nan(library):
    logits, labels, gradient, correct = (
        torch.tensor([[1.0, float("nan")]]),
        torch.tensor([0]),
        torch.empty(1, 2),
        ctypes.c_int64(),
    )
    addresses = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (logits, labels, gradient)]
    assert math.isnan(library.cross_entropy(*addresses[:2], 1, 2, addresses[2], ctypes.byref(correct)))


@pytest.mark.parametrize(
    ("momentum", "weight_decay", "nesterov"), [(0, 0, False), (0.9, 0, False), (0.9, 0.01, True), (0, 0.1, False)]
)
def test_sgd_is_torch_s(library, momentum, weight_decay, nesterov):
    ours, theirs = (nn.Parameter(digits(1, (57,))[0][0]) for _ in range(2))
    own = KernelSGD(ours, library, lr=0.1, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)
    reference = torch.optim.SGD([theirs], lr=0.1, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)
    for step in range(5):
        ours.grad, theirs.grad = (digits(1, (57,), seed=step)[0][0] for _ in range(2))
        own.step()
        reference.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    reference.load_state_dict(own.state_dict())
    own.load_state_dict(reference.state_dict())
