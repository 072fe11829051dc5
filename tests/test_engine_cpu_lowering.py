"""Networks that the C kernels take, and the reasons for which they refuse others."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from budgetnet.engine.cpu.lowering import Convolution, Elementwise, Linear, NotLowerable, lower
from budgetnet.engine.cpu.network import KernelNetwork
from budgetnet.layers.keras import ChannelsLastFlatten, SeparableConv2d
from tests.kernel_oracle import assert_one_step_equals_float64, digits, kernel_step, load_or_skip, torch_step

SHAPE = (1, 12, 12)
TAIL = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


@pytest.fixture(scope="module")
def library():
    return load_or_skip()


class Tutorial(nn.Module):
    """The style of PyTorch's own examples: functions instead of modules, a view, dropout with the module's mode."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 8, 3)
        self.fc1, self.fc2 = nn.Linear(8 * 4 * 4, 16), nn.Linear(16, 10)

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        x = functional.dropout(functional.relu(self.fc1(x)), 0.0, self.training)
        return self.fc2(x)


class Functions(nn.Module):
    """Other spellings of the same: methods, in-place calls, sizes of a shape, the mean over the pixels."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 10, 1)

    def forward(self, x):
        x = torch.relu_(self.a(x))
        y = functional.leaky_relu(self.b(x), 0.2)
        x = torch.add(x, functional.relu6(y)).relu()
        x = functional.avg_pool2d(x, 2)
        return self.c(x).mean([2, 3]).reshape(x.shape[0], -1)


class Separable(nn.Sequential):
    """Layers with Keras's order and padding."""

    def __init__(self):
        super().__init__(
            SeparableConv2d(1, 6, 4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            ChannelsLastFlatten(),
            nn.Linear(216, 8),
            nn.ReLU(),
            nn.Linear(8, 10),
        )


@pytest.mark.parametrize("kind", [Tutorial, Functions, Separable])
def test_networks_as_they_are_written_are_taken(kind, library):
    torch.manual_seed(0)
    assert_one_step_equals_float64(kind(), *digits(9, SHAPE), library)


def test_functional_dropout_draws_what_torch_draws(library):
    class Net(Tutorial):
        def forward(self, x):
            x = functional.dropout2d(self.conv1(x), 0.3, self.training)
            x = functional.dropout(functional.max_pool2d(self.conv2(x), 2), training=self.training)
            return self.fc2(self.fc1(torch.flatten(x, 1)))

    torch.manual_seed(0)
    model = Net()
    images, labels = digits(9, SHAPE)
    network = KernelNetwork(copy.deepcopy(model), SHAPE, 9, library=library)
    torch.testing.assert_close(
        kernel_step(network, images, labels), torch_step(model, images, labels), rtol=1e-4, atol=1e-5
    )
    with torch.no_grad():
        torch.testing.assert_close(
            KernelNetwork(model, SHAPE, 9, library=library).forward(images), model.eval()(images), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("order", ["relu, norm", "norm, relu"])
def test_both_orders_take_one_contraction_and_one_pass(order):
    parts = {"relu": nn.ReLU(), "norm": nn.BatchNorm2d(4)}
    layers = [parts[name] for name in order.split(", ")]
    lowered = lower(
        nn.Sequential(nn.Conv2d(1, 4, 3), *layers, nn.Dropout2d(0.1), nn.MaxPool2d(2), nn.Conv2d(4, 10, 3), *TAIL),
        SHAPE,
    )
    assert [type(operation) for operation in lowered.operations] == [Convolution, Elementwise, Convolution, Elementwise]


def test_a_perceptron_is_taken():
    lowered = lower(nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, 10)), SHAPE)
    assert [type(operation) for operation in lowered.operations] == [Linear, Linear]


class Forward(nn.Module):
    """A network whose forward is given."""

    def __init__(self, forward, *modules):
        super().__init__()
        self.layers, self.function = nn.ModuleList(modules), forward

    def forward(self, images):
        return self.function(self, images)


def conv(channels=10, **changes):
    return nn.Conv2d(1, channels, 3, **changes)


def pooled(images):
    return images.mean((2, 3))


def with_hook(module, kind):
    getattr(module, kind)(lambda *arguments: None)
    return module


def masked(module):
    module.weight.register_hook(lambda gradient: gradient * 0)
    return module


class Still(nn.BatchNorm2d):
    """A batch normalization that keeps its running statistics."""

    def train(self, mode=True):
        return super().train(False)


def own_parameter(module):
    class Scaled(nn.Parameter):
        pass

    module.weight = Scaled(module.weight.detach())
    return module


class Counting(Forward):
    def __init__(self, forward, *layers):
        super().__init__(forward, *layers)
        self.steps = 0


REFUSED = {
    "no convolution but in two dimensions": (nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 10, 3)), "no flattening"),
    "an activation": (nn.Sequential(conv(), nn.GELU(), *TAIL), r"no GELU \(1\)"),
    "a function": (Forward(lambda s, x: pooled(torch.sin(s.layers[0](x))), conv()), "no sin"),
    "padding with the images' edge": (
        nn.Sequential(conv(padding=1, padding_mode="circular"), *TAIL),
        r"padding with circular \(0\)",
    ),
    "group normalization": (nn.Sequential(conv(), nn.GroupNorm(2, 10), *TAIL), "no GroupNorm"),
    "ceil_mode": (nn.Sequential(conv(), nn.MaxPool2d(3, ceil_mode=True), *TAIL), "maximum pooling with"),
    "wrong channels": (nn.Sequential(conv(), nn.Conv2d(4, 10, 3), *TAIL), "takes 4 channels where there are 10"),
    "too small": (nn.Sequential(conv(), nn.MaxPool2d(4), nn.Conv2d(10, 10, 5), *TAIL), "too small for the network"),
    "not flat": (nn.Sequential(conv(), nn.ReLU()), "one flat tensor"),
    "two results": (Forward(lambda s, x: (pooled(s.layers[0](x)), x), conv()), "one flat tensor"),
    "content decides": (
        Forward(lambda s, x: pooled(s.layers[0](x)) if x.sum() > 0 else pooled(x), conv()),
        "cannot be traced",
    ),
    "the mode decides": (
        Forward(lambda s, x: pooled(s.layers[0](x) if s.training else -s.layers[0](x)), conv()),
        "between training and evaluation",
    ),
    "a module that stays in evaluation mode": (nn.Sequential(conv(), Still(10), *TAIL), "1 has a mode of its own"),
    "always random": (
        Forward(lambda s, x: pooled(functional.dropout(s.layers[0](x))), conv()),
        "between training and evaluation",
    ),
    "random depth": (
        Forward(lambda s, x: pooled(s.layers[0](x) if torch.rand(()) > 0 else x), conv()),
        "draws random numbers",
    ),
    "random depth by NumPy": (
        Forward(lambda s, x: pooled(s.layers[0](x) if np.random.random() >= 0 else x), conv()),
        "draws random numbers",
    ),
    "a counter of steps": (
        Counting(lambda s, x: pooled(s.layers[0](x) if _counted(s) < 500 else x), conv()),
        "forward changes steps",
    ),
    "in place and used again": (Forward(lambda s, x: _used_again(s.layers[0](x)), conv()), "in place"),
    "a result that is not used": (Forward(lambda s, x: _unused(s, x), conv(), conv()), "not used"),
    "a parameter of its own": (
        Forward(lambda s, x: pooled(s.layers[0](x)) * s.layers[0].bias, conv()),
        "no bias|no mul|no layers",
    ),
    "all dropped": (nn.Sequential(conv(), nn.Dropout2d(1.0), *TAIL), "probability 1"),
    "nothing trained": (nn.Sequential(nn.AvgPool2d(12), nn.Flatten()), "nothing in it is trained"),
    "all frozen": (nn.Sequential(conv().requires_grad_(False), *TAIL), "nothing in it is trained"),
    "float64": (nn.Sequential(conv().double(), *TAIL), "not float32"),
    "a forward hook": (nn.Sequential(with_hook(conv(), "register_forward_hook"), *TAIL), "0 has hooks"),
    "a forward pre-hook": (nn.Sequential(with_hook(conv(), "register_forward_pre_hook"), *TAIL), "0 has hooks"),
    "a backward hook": (nn.Sequential(with_hook(conv(), "register_full_backward_hook"), *TAIL), "0 has hooks"),
    "a backward pre-hook": (nn.Sequential(with_hook(conv(), "register_full_backward_pre_hook"), *TAIL), "0 has hooks"),
    "a hook on a weight": (nn.Sequential(masked(conv()), *TAIL), r"0\.weight has hooks"),
    "a parametrization": (nn.Sequential(parametrizations.weight_norm(conv()), *TAIL), "0 is parametrized"),
    "a subclass of Parameter": (nn.Sequential(own_parameter(conv()), *TAIL), r"0\.weight is a Scaled"),
    "an unused trainable layer": (
        Forward(lambda s, x: pooled(s.layers[0](x)), conv(), conv()),
        r"layers\.1\.\w+ is not used",
    ),
}


def _counted(module):
    module.steps += 1
    return module.steps


def _used_again(x):
    y = torch.relu_(x)
    return pooled(x + y)


def _unused(s, x):
    s.layers[1](x)
    return pooled(s.layers[0](x))


@pytest.mark.parametrize(("model", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_the_kernels_do_not_know_is_refused_with_a_reason(model, reason):
    modes = [module.training for module in model.modules()]
    with pytest.raises(NotLowerable, match=reason):
        lower(model, SHAPE)
    assert [module.training for module in model.modules()] == modes
