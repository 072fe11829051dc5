"""Roofline of a training step: its operations and bytes, this machine's ceilings, and where the time goes.

    python -m benchmarks.training.roofline [EXPERIMENT] [--threads N] [--seconds 10]

The ceilings are measured: arithmetic by torch's product of two 1024 × 1024 matrices, memory by copying 128 MB.
Operations are those of convolutions and dense layers: two for each multiply-add; forward, gradient of the weights, and,
but for the first layer, gradient of the input. Bytes are the least that has to pass between layers in float32: each
reads its input and writes its output, and on the way back reads both again, reads its output's gradient and writes its
input's.
"""

from __future__ import annotations

import time
import timeit
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import common
from benchmarks.turns import say
from budgetnet.catalogue import load_default
from budgetnet.data import arrays
from budgetnet.data.resident import Resident
from budgetnet.definition import Experiment
from budgetnet.engine.choice import Settings, choose_path
from budgetnet.engine.memory import keep_freed_memory
from budgetnet.engine.paths import KernelPath
from budgetnet.environment import usable_cores
from budgetnet.run import build_model

IMAGES = 12_800


def ceilings() -> dict[str, float]:
    """Return arithmetic in GFLOP/s and memory in GB/s (read plus written): the fastest of seven, as a ceiling is."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    source, target = torch.ones(32 << 20), torch.empty(32 << 20)
    product = min(timeit.repeat(lambda: torch.mm(a, b), number=1, repeat=7))
    copy = min(timeit.repeat(lambda: target.copy_(source), number=1, repeat=7))
    return {"gflops": 2 * 1024**3 / product / 1e9, "gigabytes": 2 * 4 * source.numel() / copy / 1e9}


def work_of(model: nn.Module, image_shape: tuple[int, int, int]) -> tuple[float, float]:
    """Return (floating-point operations, bytes between layers) of training on one image."""
    operations: list[float] = []
    bytes_moved: list[float] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight, read, written = module.weight, inputs[0].numel(), output.numel()
        assert isinstance(weight, Tensor)
        first = not operations
        operations.append(2 * weight.numel() * output[0].numel() / weight.shape[0] * (2 if first else 3))
        bytes_moved.append(4 * (2 * read + 3 * written + (0 if first else read)))

    hooks = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        model.eval()(torch.zeros(1, *image_shape))
    for hook in hooks:
        hook.remove()
    return sum(operations), sum(bytes_moved)


def train(experiment: Experiment, path: Any, seconds: float) -> tuple[int, dict[str, float]]:
    """Train for about ``seconds``; return the number of images and the seconds by phase."""
    data, spec, recipe = arrays.load(experiment.data_set), experiment.data_set, experiment.recipe
    resident = Resident(data.train_images[:IMAGES], data.train_labels[:IMAGES], spec.mean, spec.std)
    generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    phases: dict[str, float] = defaultdict(float)
    images_seen, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        before = time.perf_counter()
        for images, labels in resident.batches(recipe.batch_size, recipe.augmentation, *generators):
            made = time.perf_counter()
            path.step(images, labels)
            images_seen += len(labels)
            stepped = time.perf_counter()
            phases["data and augmentation"] += made - before
            phases["step"] += stepped - made
            before = stepped
    return images_seen, phases


def main() -> None:
    parser = common.make_parser(__doc__, seconds=10)
    parser.add_argument("experiment", nargs="?", default="step-13")
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    torch.set_flush_denormal(True)
    experiment = load_default()[arguments.experiment]
    common.load_data(experiment)
    shape = experiment.data_set.image_shape
    operations, bytes_moved = work_of(build_model(experiment), shape)
    path = choose_path(build_model(experiment), experiment.recipe, shape, Settings(threads=arguments.threads))
    train(experiment, path, 1)
    machine = ceilings()
    by_kind = path.network.time_steps() if isinstance(path, KernelPath) else dict
    images, phases = train(experiment, path, arguments.seconds)
    total = sum(phases.values())
    # the kernels sum the times of their passes over the threads
    kinds = {f"  {name}": seconds / arguments.threads for name, seconds in by_kind().items()}
    if kinds:
        kinds["  optimizer, Python, waiting"] = phases["step"] - sum(kinds.values())
        phases |= kinds
    speed = images / total
    gflops, gigabytes = operations * speed / 1e9, bytes_moved * speed / 1e9
    say(f"{experiment.name}, {path.name} {path.precision}, {arguments.threads} threads: {speed:,.0f} images/s")
    for name, amount, reached, ceiling, unit in (
        ("arithmetic", f"{operations / 1e6:.2f} MFLOP", gflops, machine["gflops"], "GFLOP/s"),
        ("memory", f"{bytes_moved / 1e6:.2f} MB", gigabytes, machine["gigabytes"], "GB/s"),
    ):
        say(f"{name:<12}{amount:>12} an image{reached:>8.1f} of {ceiling:.1f} {unit}, {reached / ceiling:.0%}")
    for name, seconds in sorted(phases.items(), key=lambda entry: -entry[1]):
        say(f"  {name:<36}{seconds / total:>7.1%}{1e6 * seconds / images:>9.1f} µs an image")
    content = {"experiment": experiment.name, "path": [path.name, path.precision], "threads": arguments.threads}
    content |= {"images_per_second": speed, "operations": operations, "bytes": bytes_moved}
    common.write_json(arguments.json, content | {"ceilings": machine, "phases": phases})


if __name__ == "__main__":
    main()
