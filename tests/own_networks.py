"""Networks that users write, right and wrong, by name; all of them take 28×28 images and have ten classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


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
    "dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10)),
}


@dataclass(frozen=True)
class Own:
    """The description of one of the networks."""

    name: str

    def build(self, image_shape, classes):
        return NETWORKS[self.name]()
