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
from torchvision.models.resnet import BasicBlock
from torchvision.ops import Conv2dNormActivation

from benchmarks import common
from benchmarks.turns import alternate, ratio, say
from budgetnet.catalogue import load_default
from budgetnet.definition import Recipe
from budgetnet.engine.paths import EagerPath, KernelPath
from budgetnet.params import count
from budgetnet.report.text import aligned

SHAPE, CLASSES, BATCH = (1, 28, 28), 10, 64


def separable() -> nn.Module:
    """Depthwise 3×3 and pointwise convolutions."""
    layers: list[nn.Module] = [Conv2dNormActivation(1, 12)]
    for channels, width, stride in ((12, 20, 2), (20, 24, 1), (24, 32, 2)):
        layers.append(Conv2dNormActivation(channels, channels, stride=stride, groups=channels))
        layers.append(Conv2dNormActivation(channels, width, 1))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, CLASSES))


def residual() -> nn.Module:
    layers: list[nn.Module] = [Conv2dNormActivation(1, 8)]
    for channels, width, stride in ((8, 8, 1), (8, 12, 2), (12, 16, 2)):
        shortcut = None
        if stride > 1:
            shortcut = Conv2dNormActivation(channels, width, 1, stride, activation_layer=None)
        layers.append(BasicBlock(channels, width, stride, shortcut))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, CLASSES))


def networks() -> dict[str, Callable[[], nn.Module]]:
    step, lenet = (load_default()[name].model for name in ("step-13", "lenet"))
    return {
        "step-13": lambda: step.build(SHAPE, CLASSES),
        "depthwise-separable": separable,
        "residual": residual,
        "lenet": lambda: lenet.build(SHAPE, CLASSES),
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
    common.add_only(parser)
    arguments = parser.parse_args()
    limited = common.INSTRUCTION_SETS[arguments.isa]
    if limited.items() - os.environ.items():  # torch has already read its own
        command = [sys.executable, "-m", "benchmarks.training.networks", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **limited})
    torch.set_num_threads(1)
    recipe = replace(load_default()["step-13"].recipe, batch_size=BATCH)
    found = {}
    rows: list[tuple[Any, ...]] = [("", "parameters", "kernels", "eager", "channels-last", "ratio", "min", "max")]
    builders = networks()
    for name in common.chosen(builders, arguments.only):
        found[name] = own = measure(builders[name], recipe, arguments.rounds, arguments.seconds)
        medians = (f"{statistics.median(values):,.0f}" for values in own["images_per_second"].values())
        rows.append((name, own["parameters"], *medians, *(f"{value:.2f}" for value in own["ratio"].values())))
        say(f"measured: {name}")
    say(f"\nimages per second, medians of {arguments.rounds} rounds\n{aligned(rows, right=set(range(1, 8)))}")
    common.write_json(arguments.json, {"instruction_set": arguments.isa, "networks": found})


if __name__ == "__main__":
    main()
