"""Networks whose traced calls are for the kernels, and whose training is another: the trial before training finds them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from budgetnet.definition import SGD, Recipe
from budgetnet.engine.choice import EngineError, Settings, choose_path
from budgetnet.engine.cpu.agreement import check_agreement
from budgetnet.engine.cpu.lowering import NotLowerable, lower
from budgetnet.engine.cpu.network import KernelNetwork
from budgetnet.models import PlainCNN
from tests.kernel_oracle import digits, load_or_skip

SHAPE = (1, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def _compiler():
    load_or_skip()


class Net(nn.Module):
    """A network of a few parts whose forward is given."""

    def __init__(self, forward):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 3, 3), nn.Conv2d(1, 3, 3), nn.Conv2d(3, 3, 1)
        self.norm, self.dropout, self.same = nn.BatchNorm2d(3), nn.Dropout(0.3), nn.Identity()
        self.function = forward

    def forward(self, images):
        return self.function(self, images).mean((2, 3))


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient):
        return -gradient


def without_gradient(s, x):
    with torch.no_grad():
        h = s.a(x) + s.b(x)
    return s.c(s.norm(s.dropout(h)))


def mode_inside(s, x):
    s.norm.eval()
    return s.c(torch.relu(s.norm(s.dropout(s.a(x) + s.b(x)))))


def alias(s, x):
    h = s.norm(s.a(x) + s.b(x))
    kept = s.same(h)
    return s.c(s.dropout(functional.relu_(h))) + kept


def added_in_place(s, x):
    h = s.norm(s.a(x))
    kept = h
    h += s.b(x)
    return s.c(s.dropout(h)) + kept


def reversed_gradient(s, x):
    return s.c(Reversed.apply(s.norm(s.dropout(s.a(x) + s.b(x)))))


def shared_norm(s, x):
    return s.c(s.dropout(s.norm(s.a(x)) + s.norm(s.b(x))))


@pytest.mark.parametrize(
    "forward", [without_gradient, mode_inside, alias, added_in_place, reversed_gradient, shared_norm]
)
def test_what_tracing_cannot_see_is_left_to_torch(forward):
    torch.manual_seed(0)
    model = Net(forward)
    model.norm.momentum = 0.5
    nn.init.constant_(model.b.bias, 5.0)
    with pytest.raises(NotLowerable):
        check_agreement(model, SHAPE)


def test_weights_in_another_memory_format_agree():
    model = PlainCNN(widths=(4, 4), pool_after=(1,), dropout=0.2).build(SHAPE, 10)
    check_agreement(model.to(memory_format=torch.channels_last), SHAPE)


def test_the_engine_falls_back_and_says_why(caplog, tmp_path, monkeypatch):
    monkeypatch.setenv("BUDGETNET_CACHE", str(tmp_path))
    recipe = Recipe(optimizer=SGD(lr=0.05), batch_size=8, epochs=1)
    with caplog.at_level("INFO"):
        assert choose_path(Net(mode_inside), recipe, SHAPE, Settings()).name in ("eager", "channels-last")
    assert "not for the C kernels: the kernels' logits differ from plain torch's" in caplog.text
    with pytest.raises(EngineError, match="differ from plain torch's"):
        choose_path(Net(mode_inside), recipe, SHAPE, Settings(engine="kernels"))


def test_a_network_that_agrees_is_not_changed():
    model = PlainCNN(widths=(4, 4), pool_after=(1,), dropout=0.2).build(SHAPE, 10)
    before, random = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    check_agreement(model, SHAPE)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def normalized(**changes):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for name, value in changes.items():
        setattr(model[1], name, value)
    return model


def tied_storage():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model[1].weight.data = model[0].weight.data
    return model


@pytest.mark.parametrize(
    "model",
    [
        normalized(momentum=None, num_batches_tracked=None),
        normalized(num_batches_tracked=torch.tensor(0, dtype=torch.int32)),
        normalized(running_mean=torch.zeros(6)[::2]),
        normalized(running_mean=None, running_var=None),
        normalized(momentum=-0.1),
        tied_storage(),
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d((2,)), nn.Flatten(), nn.Linear(48, 3)),
    ],
)
def test_odd_state_is_refused_before_anything_is_built(model):
    with pytest.raises(NotLowerable):
        lower(model, SHAPE)


def test_a_convolution_that_reaches_no_pixel_of_the_image():
    model = nn.Sequential(
        nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 1, stride=2, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    check_agreement(model, (1, 1, 1))


def test_labels_and_gradients_of_another_kind_are_refused():
    network = KernelNetwork(PlainCNN(widths=(4, 4), pool_after=(1,)).build(SHAPE, 10), SHAPE, 4)
    images, labels = digits(4, SHAPE)
    for wrong in (labels[:3], labels.int(), labels.repeat(2)):
        with pytest.raises(ValueError, match=r"expected torch\.int64 \(4,\)"):
            network.train(images, wrong)
    network.forward(images, training=True)
    with pytest.raises(ValueError, match=r"expected torch\.float32"):
        network.backward(torch.zeros(4, 10, dtype=torch.float64))


def test_memory_that_the_kernels_use_outlives_its_tensors():
    """A module that is converted drops gradients and statistics; the kernels go on with what they were given."""
    model = PlainCNN(widths=(4, 4), pool_after=(1,)).build(SHAPE, 10)
    network = KernelNetwork(model, SHAPE, 4)
    images, labels = digits(4, SHAPE)
    network.train(images, labels)
    model.double().float()
    others = [np.full(4 * size, 7, np.float32) for size in range(1, 200)]
    assert all(np.isfinite(network.train(images, labels)[0]) for _ in range(3))
    assert all((other == 7).all() for other in others)


def test_another_default_type_changes_nothing():
    model = PlainCNN(widths=(4, 4), pool_after=(1,)).build(SHAPE, 10).eval()
    images, _ = digits(4, SHAPE)
    try:
        torch.set_default_dtype(torch.float64)
        logits = KernelNetwork(model, SHAPE, 4).forward(images)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(logits, model(images), rtol=1e-4, atol=1e-5)
