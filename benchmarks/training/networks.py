"""Networks of several kinds on one thread: images per second on the C kernels and on plain torch.

    python -m benchmarks.training.networks [--rounds 7] [--seconds 1] [--isa native|avx2|sse] [--only WORD …]

The engines train in turns on the same random batch of 64 and count processor time. Ratios are taken round by round to
the faster of eager and channels-last.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import common
from benchmarks.turns import alternate, ratio, say
from budgetnet.catalogue import load_default
from budgetnet.definition import Recipe
from budgetnet.engine.paths import EagerPath, KernelPath
from budgetnet.params import count
from budgetnet.report.text import aligned

SHAPE, CLASSES, BATCH = (1, 28, 28), 10, 64


def norm_before_activation() -> nn.Module:
    """Step 13's widths, each convolution followed by batch normalization and then ReLU."""
    widths, layers, channels = (10, 10, 12, 12, 12), [], 1
    for number, width in enumerate(widths, start=1):
        layers += [nn.Conv2d(channels, width, 3, padding=int(number < 5), bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        if number in (2, 4):
            layers.append(nn.MaxPool2d(2))
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, CLASSES, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def separable() -> nn.Module:
    """Depthwise 3×3 and pointwise convolutions, 2,450 parameters."""

    def block(channels: int, width: int, stride: int = 1) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        ]  # fmt: skip

    first = [nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU()]
    body = [*block(12, 20, 2), *block(20, 24), *block(24, 32, 2)]
    return nn.Sequential(*first, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with normalization, and a shortcut of 1×1 where size or width change."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, images: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(images)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(images))


def residual() -> nn.Module:
    """A small residual network, 9,694 parameters."""
    first = [nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    body = [ResidualBlock(8, 8, 1), ResidualBlock(8, 12, 2), ResidualBlock(12, 16, 2)]
    return nn.Sequential(*first, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES))


class Shared(nn.Module):
    """One block applied three times at each of two sizes, with a normalization of its own each time."""

    def __init__(self, width: int = 13, times: int = 3) -> None:
        super().__init__()
        self.first, self.block = (
            nn.Conv2d(1, width, 3, padding=1, bias=False),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2 * times + 1))
        self.pool, self.average, self.last = nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Linear(width, CLASSES)
        self.times = times

    def forward(self, images: Tensor) -> Tensor:
        images = torch.relu(self.norms[0](self.first(images)))
        for number in range(1, 2 * self.times + 1):
            if number in (1, self.times + 1):
                images = self.pool(images)
            images = torch.relu(self.norms[number](self.block(images)))
        return self.last(torch.flatten(self.average(images), 1))


def networks() -> dict[str, Callable[[], nn.Module]]:
    step, lenet = (load_default()[name].model for name in ("step-13", "lenet"))
    return {
        "step-13": lambda: step.build(SHAPE, CLASSES),
        "Conv → BatchNorm → ReLU": norm_before_activation,
        "depthwise-separable": separable,
        "residual": residual,
        "lenet": lambda: lenet.build(SHAPE, CLASSES),
        "shared block": Shared,
    }


def images_per_second(path: Any, images: Tensor, labels: Tensor, seconds: float) -> float:
    """Train for so many seconds of processor time."""
    steps, used, began = 0, 0.0, time.process_time()
    while used < seconds or steps < 2:
        path.step(images, labels)
        steps += 1
        used = time.process_time() - began
    return steps * len(labels) / used


def measure(build: Callable[[], nn.Module], recipe: Recipe, rounds: int, seconds: float) -> dict[str, Any]:
    """Return images per second of every engine by round, and the kernels' ratio to the faster of torch's two."""
    images, labels = torch.randn(BATCH, *SHAPE), torch.randint(0, CLASSES, (BATCH,))
    paths: dict[str, Any] = {"kernels": KernelPath(build(), recipe, SHAPE, 1)}
    for name in ("eager", "channels-last"):
        paths[name] = EagerPath(build(), recipe, torch.device("cpu"), "fp32", name)
    turns = {name: partial(images_per_second, path, images, labels, seconds) for name, path in paths.items()}
    speeds, _ = alternate(turns, rounds, lambda line: None)
    best = max(("eager", "channels-last"), key=lambda name: statistics.median(speeds[name]))
    parameters, found = count(build()).trainable, ratio(speeds["kernels"], speeds[best])
    return {"parameters": parameters, "images_per_second": speeds, "best_torch": best, "ratio": found._asdict()}


def main() -> None:
    parser = common.make_parser(__doc__, rounds=7, seconds=1)
    common.add_instruction_set(parser)
    parser.add_argument("--only", nargs="+", metavar="WORD", help="only networks whose name contains one of these words")
    arguments = parser.parse_args()
    limited = common.INSTRUCTION_SETS[arguments.isa]
    if limited.items() - os.environ.items():  # torch has already read its own
        command = [sys.executable, "-m", "benchmarks.training.networks", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **limited})
    torch.set_num_threads(1)
    recipe = replace(load_default()["step-13"].recipe, batch_size=BATCH)
    found = {}
    rows: list[tuple[Any, ...]] = [("", "parameters", "kernels", "eager", "channels-last", "ratio", "min", "max")]
    for name, build in networks().items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        found[name] = own = measure(build, recipe, arguments.rounds, arguments.seconds)
        medians = (f"{statistics.median(values):,.0f}" for values in own["images_per_second"].values())
        rows.append((name, own["parameters"], *medians, *(f"{value:.2f}" for value in own["ratio"].values())))
        say(f"measured: {name}")
    say(f"\nimages per second, medians of {arguments.rounds} rounds\n{aligned(rows, right=set(range(1, 8)))}")
    common.write_json(arguments.json, {"instruction_set": arguments.isa, "networks": found})


if __name__ == "__main__":
    main()
