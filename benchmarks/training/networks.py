"""Networks of several kinds on one thread: images a second on the C kernels, and on the fastest plain torch path.

    python -m benchmarks.networks [--rounds 7] [--seconds 1] [--isa native|avx2|sse] [--json FILE]

The paths take turns, round after round, on the same random batch of 64; a path's figure is the median of its rounds in processor
time. Ratios are taken round by round to the faster of eager and channels-last.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import task
from budgetnet.catalogue import load_default
from budgetnet.definition import Recipe
from budgetnet.engine.paths import EagerPath, KernelPath
from budgetnet.params import count

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


@dataclass(frozen=True)
class Network:
    name: str
    build: Callable[[], nn.Module]


def networks() -> list[Network]:
    step, lenet = (load_default()[name].model for name in ("step-13", "lenet"))
    return [
        Network("step-13", lambda: step.build(SHAPE, CLASSES)),
        Network("Conv → BatchNorm → ReLU", norm_before_activation),
        Network("depthwise-separable", separable),
        Network("residual", residual),
        Network("lenet", lambda: lenet.build(SHAPE, CLASSES)),
        Network("shared block", Shared),
    ]


def measure(network: Network, recipe: Recipe, rounds: int, seconds: float) -> dict[str, Any]:
    """Images a second of every path by round, and the ratio to the faster of torch's two."""
    images, labels = torch.randn(BATCH, *SHAPE), torch.randint(0, CLASSES, (BATCH,))
    cpu, paths = torch.device("cpu"), {}
    for name in ("kernels", "eager", "channels-last"):
        torch.manual_seed(0)
        model = network.build()
        paths[name] = (
            KernelPath(model, recipe, SHAPE, 1) if name == "kernels" else EagerPath(model, recipe, cpu, "fp32", name)
        )
    speeds: dict[str, list[float]] = {name: [] for name in paths}
    for number in range(rounds + 1):  # the first is warm-up
        for name, path in paths.items():
            steps, began = 0, time.process_time()
            while (used := time.process_time() - began) < seconds or steps < 2:
                path.step(images, labels)
                steps += 1
            if number:
                speeds[name].append(steps * BATCH / used)
    best = max(("eager", "channels-last"), key=lambda name: statistics.median(speeds[name]))
    ratios = [ours / theirs for ours, theirs in zip(speeds["kernels"], speeds[best], strict=True)]
    return {
        "parameters": count(network.build()).trainable, "images_per_second": speeds, "best_torch": best, "ratios": ratios,
        "ratio": statistics.median(ratios),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    task.add_instruction_set(parser)
    arguments = parser.parse_args()
    if (held := task.INSTRUCTION_SETS[arguments.isa]).items() - os.environ.items():  # torch has read its own by now
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.networks", *sys.argv[1:]], {**os.environ, **held})
    torch.set_num_threads(1)
    recipe = replace(load_default()["step-13"].recipe, batch_size=BATCH)
    found: dict[str, Any] = {"instruction_set": arguments.isa, "environment": task.environment("cpu"), "networks": {}}
    print(
        f"{'network':<26}{'parameters':>11}{'kernels':>10}{'eager':>8}{'channels-last':>15}{'ratio':>8}{'min':>7}{'max':>7}"
    )
    for network in networks():
        result = found["networks"][network.name] = measure(network, recipe, arguments.rounds, arguments.seconds)
        medians = {name: statistics.median(values) for name, values in result["images_per_second"].items()}
        print(
            f"{network.name:<26}{result['parameters']:>11,}{medians['kernels']:>10,.0f}{medians['eager']:>8,.0f}{medians['channels-last']:>15,.0f}"
            f"{result['ratio']:>8.2f}{min(result['ratios']):>7.2f}{max(result['ratios']):>7.2f}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
