"""Small trained-looking networks, and artifacts of them, for the tests of inference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from budgetnet.catalogue import load_default
from budgetnet.data.specs import MNIST
from budgetnet.definition import SGD, Budget, Experiment, Recipe
from budgetnet.inference import parity
from budgetnet.inference.compilation import Evidence, Wish, compile_run
from budgetnet.inference.contract import Contract
from budgetnet.models import PlainCNN
from budgetnet.weights import Trained, digest

CONTRACT = Contract.of(MNIST)
TINY = Experiment(
    name="tiny", data_set=MNIST, model=PlainCNN(widths=(4, 4, 6), pool_after=(1, 2), dropout=0.1),
    recipe=Recipe(optimizer=SGD(lr=0.1), batch_size=64, epochs=1), budget=Budget(bound=2_000),
)  # fmt: skip


def with_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """The network with weights and statistics as training leaves them: no scale is 1, no mean 0."""
    drawn = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5, generator=drawn)
            module.running_var.uniform_(0.5, 2.0, generator=drawn)
            with torch.no_grad():
                module.weight.uniform_(0.5, 1.5, generator=drawn)
                module.bias.uniform_(-0.5, 0.5, generator=drawn)
    return model.eval()


def trained(experiment: Experiment = TINY, seed: int = 0) -> Trained:
    """A run's network as if it had been trained."""
    torch.manual_seed(seed)
    model = with_statistics(experiment.model.build(experiment.data_set.image_shape, experiment.data_set.classes), seed)
    return Trained(experiment, seed, model, Path("nowhere"), digest(model))


def images(number: int, seed: int = 0, shape: tuple[int, int, int] = (1, 28, 28)) -> np.ndarray:
    """uint8 noise, (number, *shape)."""
    return np.random.default_rng(seed).integers(0, 256, (number, *shape), dtype=np.uint8)


def evidence(own: Trained, number: int = 70) -> Evidence:
    """Images whose labels are what the network says: its accuracy is 100 %."""
    contract = Contract.of(own.experiment.data_set)
    pictures = images(number, 1, contract.image_shape)
    said = parity.reference(own.model, contract, pictures, np.zeros(number, dtype=np.int64))
    labelled = parity.Reference(pictures, said.logits.argmax(1), said.logits, said.exact)
    return Evidence(lambda: labelled, lambda: contract.pixels(pictures))


@dataclass
class Said:
    """What a compilation told its user."""

    lines: list[str]

    def __call__(self, line: str) -> None:
        self.lines.append(line)


def compiled(root: Path, backend: str = "eager", precision: str = "fp32", own: Trained | None = None, **wish: object) -> Path:
    """The folder of a new artifact."""
    own = own or trained()
    folder, _ = compile_run(own, Wish(backend, precision, **wish), evidence(own), root, Said([]))
    return folder


def distinct_experiments() -> list[Experiment]:
    """The catalogue's experiments, of each network one."""
    return [*{(e.model, e.data_set.image_shape): e for e in reversed(list(load_default()))}.values()][::-1]
