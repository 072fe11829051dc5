"""Networks that users write, right and wrong, by name; all of them take 28×28 images and have ten classes."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.ao.quantization import FakeQuantize, MovingAverageMinMaxObserver, MovingAveragePerChannelMinMaxObserver
from torch.nn import functional
from torch.nn.utils import prune


class Calls(nn.Module):
    """A layer that computes what it is given as a function."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, x, y):
        return self.layer(x.flatten(1)) + y


class Rows(nn.Module):
    """An LSTM over the rows of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(28, 12, batch_first=True), nn.Linear(12, 10)

    def forward(self, x):
        return self.out(self.lstm(x[:, 0])[0][:, -1])


class FixedProjection(nn.Module):
    """Projects onto random directions that are a plain tensor, in no state_dict."""

    def __init__(self) -> None:
        super().__init__()
        self.directions, self.out = torch.randn(784, 60) / 28, nn.Linear(60, 10)

    def forward(self, x):
        return self.out(torch.relu(x.flatten(1) @ self.directions))


class Blended(nn.Module):
    """Goes over from one layer to another while it trains, counting steps in an attribute."""

    def __init__(self, in_evaluation: bool) -> None:
        super().__init__()
        self.a, self.b, self.steps, self.in_evaluation = nn.Linear(784, 10), nn.Linear(784, 10), 0, in_evaluation

    def forward(self, x):
        self.steps += self.training
        share = min(1.0, self.steps / 50) if self.training or self.in_evaluation else 1.0
        return (1 - share) * self.a(x.flatten(1)) + share * self.b(x.flatten(1))


class LateLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = None, nn.Linear(8, 10)

    def forward(self, x):
        self.hidden = self.hidden or nn.Linear(784, 8)
        return self.out(self.hidden(x.flatten(1)))


class PixelTable(nn.Module):
    """An embedding of black and white pixels, whose gradients are sparse."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(2 * 784, 10, sparse=True)

    def forward(self, x):
        return self.table(2 * torch.arange(784, device=x.device) + (x.flatten(1) > 0).long()).sum(1)


class Spectrum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filter, self.out = nn.Parameter(torch.ones(28, 15, dtype=torch.complex64)), nn.Linear(784, 10)

    def forward(self, x):
        return self.out(torch.fft.irfft2(torch.fft.rfft2(x) * self.filter).flatten(1))


class LayerDrop(nn.Module):
    """Skips layers at random, drawing from Python's and NumPy's generators."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(784, 8), nn.Linear(8, 10)
        self.blocks = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])

    def forward(self, x):
        x = self.first(x.flatten(1))
        for place, block in enumerate(self.blocks):
            if self.training and (random.random() if place else np.random.random()) < 0.4:
                continue
            x = x + torch.relu(block(x))
        return self.out(x)


class FakeQuantized(nn.Module):
    """Quantization-aware training: its observers' buffers grow from nothing in the first step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.inputs = nn.Linear(784, 10), FakeQuantize(MovingAverageMinMaxObserver, 0, 255)
        self.weights = FakeQuantize(
            MovingAveragePerChannelMinMaxObserver, -128, 127, dtype=torch.qint8, qscheme=torch.per_channel_symmetric
        )

    def forward(self, x):
        return functional.linear(self.inputs(x.flatten(1)), self.weights(self.layer.weight), self.layer.bias)


class ClassToken(nn.Module):
    """Puts a learned row before the image, for as many images as ``len`` counts."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.out = nn.Parameter(torch.zeros(1, 28)), nn.Linear(29 * 28, 10)

    def forward(self, x):
        return self.out(torch.cat([self.token.expand(len(x), 1, 28), x[:, 0]], 1).flatten(1))


class Locked(nn.Module):
    """Holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.lock = nn.Linear(784, 10), threading.Lock()

    def forward(self, x):
        with self.lock:
            return self.layer(x.flatten(1))


class Backwards(nn.Sequential):
    """Layers in the order in which they do not run."""

    def forward(self, x):
        for layer in reversed(self):
            x = layer(x)
        return x


class WithCode(nn.Sequential):
    """A network whose extra state is no data."""

    def get_extra_state(self):
        return {"code": Calls}

    def set_extra_state(self, state):
        pass


def plain(*layers: nn.Module, outputs: int = 10) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, outputs), *layers)


def tied() -> nn.Sequential:
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 784, bias=False), nn.ReLU(), nn.Linear(784, 784), nn.ReLU(), nn.Linear(784, 10)
    )
    network[3].weight = network[1].weight
    return network


def twice() -> nn.Sequential:
    layer = nn.Linear(784, 784)
    return nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer, nn.Linear(784, 10))


def frozen() -> nn.Sequential:
    network = plain()
    network.requires_grad_(False)
    return network


def complex_buffer() -> nn.Sequential:
    network = plain()
    network.register_buffer("phase", torch.zeros(3, dtype=torch.complex128))
    return network


def pruned() -> nn.Sequential:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    prune.random_unstructured(network[1], "weight", 0.5)
    prune.random_unstructured(network[3], "weight", 0.5)
    return network


def scripted() -> nn.Sequential:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        return nn.Sequential(torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(784, 8))), nn.Linear(8, 10))


def old_weight_norm() -> nn.Sequential:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        return nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(784, 10)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "twenty outputs": lambda: plain(outputs=20),
    "too few dimensions": lambda: plain(nn.Flatten(0)),
    "tuple": lambda: plain(Calls(lambda x: (x, x))),
    "dict": lambda: plain(Calls(lambda x: {"logits": x})),
    "none": lambda: plain(Calls(lambda x: None)),
    "whole numbers": lambda: plain(Calls(lambda x: x.round().long())),
    "NaN": lambda: plain(Calls(lambda x: x / (x - x))),
    "wrong width": lambda: nn.Sequential(nn.Flatten(), nn.Linear(100, 10)),
    "two inputs": TwoInputs,
    "float64": lambda: plain().double(),
    "all frozen": frozen,
    "no parameters": lambda: nn.Sequential(nn.Flatten(), Calls(lambda x: x[:, :10])),
    "NaN gradient": lambda: plain(Calls(lambda x: x + (x - x).sqrt())),
    "state that is code": lambda: WithCode(*plain()),
    "normalized vector": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10)
    ),
    "tied weights": tied,
    "one module twice": twice,
    "weight norm": lambda: nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(784, 10))),
    "old weight norm": old_weight_norm,
    "LSTM": Rows,
    "whole dropout": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout2d(1.0), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)
    ),
    "spectral norm": lambda: nn.Sequential(nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(784, 10))),
    "complex buffer of no use": complex_buffer,
    "random projection": FixedProjection,
    "counter": lambda: Blended(in_evaluation=True),
    "counter in training": lambda: Blended(in_evaluation=False),
    "late layer": LateLayer,
    "sparse gradients": PixelTable,
    "complex parameter": Spectrum,
    "layer drop": LayerDrop,
    "fake quantization": FakeQuantized,
    "pruned": pruned,
    "scripted layers": scripted,
    "lock": Locked,
    "batch size as a number": ClassToken,
    "backwards": lambda: Backwards(nn.Linear(8, 10), nn.BatchNorm1d(8), nn.Linear(784, 8), nn.Flatten()),
    "batch statistics": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(4 * 13 * 13, 10)
    ),
    "dropout in evaluation": lambda: plain(Calls(functional.dropout)),
    "dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10)),
}


@dataclass(frozen=True)
class Own:
    """The description of one of the networks."""

    name: str

    def build(self, image_shape, classes):
        return NETWORKS[self.name]()


def catalogue(folder: Path, network: str, batch_size: int = 64, epochs: int = 1, optimizer: str = "SGD(0.05)") -> Path:
    """Write a catalogue file whose experiment ``own`` trains one of the networks on scikit-learn's digits; returns its path."""
    path = folder / f"cat_{network}_{batch_size}_{epochs}_{folder.name}.py"
    path.write_text(
        "from budgetnet.data.specs import DIGITS\nfrom budgetnet.definition import SGD, Experiment, Recipe\n"
        "from tests.own_networks import Own\n"
        f"RECIPE = Recipe({optimizer}, batch_size={batch_size}, epochs={epochs})\n"
        f"CATALOGUE = (Experiment('own', DIGITS, Own({network!r}), RECIPE),)\n"
    )
    return path
