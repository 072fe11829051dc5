"""Roofline of a training step: its operations and bytes, this machine's ceilings, and where the time goes.

    python -m benchmarks.roofline [EXPERIMENT] [--threads N] [--seconds 10] [--json FILE]

The ceilings are measured: arithmetic by torch's matrix product of two 1024 × 1024 matrices, memory by copying 256 MB. A step on the
kernels is divided by the kinds of its passes, whose times are summed over the threads and divided by their number. Operations are
those of the convolutions and dense layers (two for each multiply-add; forward, gradient of the weights, gradient of the input but for
the first layer). Bytes are what has to pass between layers at least, if every layer reads its input and writes its output once on the
way there, and on the way back reads both again, reads the gradient of its output and writes that of its input: float32.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from budgetnet.catalogue import load_default
from budgetnet.data import arrays
from budgetnet.data.resident import Resident
from budgetnet.definition import Experiment
from budgetnet.engine.choice import Settings, choose_path
from budgetnet.engine.memory import keep_freed_memory
from budgetnet.engine.paths import KernelPath
from budgetnet.environment import stamp, usable_cores
from budgetnet.run import build_model

IMAGES = 12_800


def best(action: Callable[[], object], rounds: int = 7) -> float:
    """Seconds of the fastest of some calls: a ceiling is what the machine can do."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def ceilings() -> dict[str, float]:
    """Arithmetic in GFLOP/s and memory in GB/s (bytes read plus bytes written), with torch's present number of threads."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    source, target = torch.ones(32 << 20), torch.empty(32 << 20)
    torch.mm(a, b), target.copy_(source)
    arithmetic = 2 * 1024**3 / best(lambda: torch.mm(a, b)) / 1e9
    return {"gflops": arithmetic, "gigabytes": 2 * 4 * source.numel() / best(lambda: target.copy_(source)) / 1e9}


def work_of(model: nn.Module, image_shape: tuple[int, int, int]) -> tuple[float, float]:
    """(floating-point operations, bytes between layers) of training on one image."""
    operations = bytes_moved = 0.0
    seen = 0

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal operations, bytes_moved, seen
        weight = module.weight
        assert isinstance(weight, Tensor)
        positions = output[0].numel() / weight.shape[0]
        operations += 2 * weight.numel() * positions * (3 if seen else 2)
        bytes_moved += 4 * (2 * inputs[0].numel() + 2 * output.numel() + output.numel() + (inputs[0].numel() if seen else 0))
        seen += 1

    hooks = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        model.eval()(torch.zeros(1, *image_shape))
    for hook in hooks:
        hook.remove()
    return operations, bytes_moved


class Phases:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, name: str, action: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        result = action(*arguments)
        self.seconds[name] += time.perf_counter() - started
        return result


def train(experiment: Experiment, path: Any, phases: Phases, seconds: float) -> int:
    """Train for about ``seconds``, timing every phase; the number of images."""
    data, spec, recipe = arrays.load(experiment.data_set), experiment.data_set, experiment.recipe
    resident = Resident(data.train_images[:IMAGES], data.train_labels[:IMAGES], spec.mean, spec.std)
    generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    images_seen, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        batches = resident.batches(recipe.batch_size, recipe.augmentation, *generators)
        while (batch := phases.timed("data and augmentation", next, batches, None)) is not None:
            images, labels = batch
            phases.timed("step", path.step, images, labels)
            images_seen += len(labels)
    return images_seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", nargs="?", default="step-13")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    torch.set_flush_denormal(True)
    experiment = load_default()[arguments.experiment]
    operations, bytes_moved = work_of(build_model(experiment), experiment.data_set.image_shape)
    path = choose_path(build_model(experiment), experiment.recipe, experiment.data_set.image_shape, Settings(threads=arguments.threads))
    train(experiment, path, Phases(), 1)
    found, phases = ceilings(), Phases()
    by_kind = path.network.time_steps() if isinstance(path, KernelPath) else dict
    images = train(experiment, path, phases, arguments.seconds)
    total = sum(phases.seconds.values())
    if kinds := {f"  {name}": seconds / arguments.threads for name, seconds in by_kind().items()}:
        kinds["  optimizer, Python, waiting"] = phases.seconds["step"] - sum(kinds.values())
        phases.seconds.update(kinds)
    speed = images / total
    print(f"{arguments.experiment}, {path.name} {path.precision}, {arguments.threads} threads: {speed:,.0f} images/s")
    print(f"arithmetic  {operations / 1e6:8.2f} MFLOP an image  {operations * speed / 1e9:8.1f} of {found['gflops']:8.1f} GFLOP/s"
          f"  {operations * speed / 1e9 / found['gflops']:6.1%}")  # fmt: skip
    print(f"memory      {bytes_moved / 1e6:8.2f} MB an image     {bytes_moved * speed / 1e9:8.1f} of {found['gigabytes']:8.1f} GB/s")
    for name, seconds in sorted(phases.seconds.items(), key=lambda entry: -entry[1]):
        print(f"  {name:<36}{seconds / total:>7.1%}{1e6 * seconds / images:>9.1f} µs an image")
    if arguments.json:
        content = {
            "experiment": arguments.experiment, "path": [path.name, path.precision], "threads": arguments.threads,
            "images_per_second": speed, "operations": operations, "bytes": bytes_moved, "ceilings": found,
            "phases": phases.seconds, "environment": stamp("cpu"),
        }  # fmt: skip
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
