"""Images per second of training step-13 (batch 64, rotation on): ours against the notebook-style loop, alternating.

    python -m benchmarks.training_speed [--pairs 7] [--device cpu|cuda] [--json FILE]

Warm-up (compilation, first batches) is off the clock. One entry trains one run on all cores; "two runs" trains two at
once with one thread each, and counts both. Ratios are taken pair by pair within this one command.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.notebook_loop import NotebookTraining
from budgetnet.catalogue import load_default
from budgetnet.data import arrays
from budgetnet.data.files import DataError
from budgetnet.data.resident import Resident, evaluation_batches
from budgetnet.definition import Experiment
from budgetnet.engine.loop import Batches, Training, train
from budgetnet.engine.paths import Settings
from budgetnet.environment import stamp, usable_cores
from budgetnet.run import build_model

EXPERIMENT = "step-13"
OURS_IMAGES, NOTEBOOK_IMAGES = 12_800, 3_200


class SomeData:
    """The first images of the training set for the engine; one batch validates, so that the clock sees training."""

    def __init__(self, experiment: Experiment, images: Tensor, labels: Tensor, device: str) -> None:
        self.spec, self.recipe, self.classes = experiment.data_set, experiment.recipe, experiment.data_set.classes
        self.resident = Resident(images, labels, self.spec.mean, self.spec.std, device)
        self.steps = -(-len(labels) // self.recipe.batch_size)
        self.few = (images[:64].to(device), labels[:64].to(device))

    def train_batches(self, order: torch.Generator, augmentation: torch.Generator) -> Batches:
        return self.resident.batches(self.recipe.batch_size, self.recipe.augmentation, order, augmentation)

    def validation_batches(self) -> Batches:
        return evaluation_batches(*self.few, self.recipe.batch_size, self.spec.mean, self.spec.std)


class OwnTraining:
    """``epoch()`` trains once over the images and returns images per second."""

    def __init__(self, device: str, threads: int, engine: str, count: int = OURS_IMAGES) -> None:
        experiment = load_default()[EXPERIMENT]
        data = arrays.load(experiment.data_set)
        self.data = SomeData(experiment, data.train_images[:count], data.train_labels[:count], device)
        settings = Settings(device=device, threads=threads, engine=engine)
        self.training = Training(build_model(experiment), experiment.recipe, experiment.data_set.image_shape, 0, settings)
        self.count = count

    def epoch(self) -> float:
        started = time.perf_counter()
        list(train(self.training, self.data, self.training.epoch + 1))
        return self.count / (time.perf_counter() - started)


def _worker(orders: Any, answers: Any) -> None:
    torch.set_num_threads(1)
    training = OwnTraining("cpu", 1, "auto")
    training.epoch()
    answers.put(0.0)
    while orders.get():
        answers.put(training.epoch())


class TwoRuns:
    """Two of our runs at once, one thread each, in processes of their own; ``epoch()`` gives the sum of both."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.orders, self.answers = [context.Queue(), context.Queue()], context.Queue()
        self.processes = [context.Process(target=_worker, args=(orders, self.answers), daemon=True) for orders in self.orders]
        for process in self.processes:
            process.start()
        for _ in self.processes:
            self.answers.get()

    def epoch(self) -> float:
        for orders in self.orders:
            orders.put(True)
        return sum(self.answers.get() for _ in self.processes)

    def close(self) -> None:
        for orders in self.orders:
            orders.put(False)


def contestants(device: str) -> dict[str, Callable[[], float]]:
    """Name -> a function that trains a while and returns images per second; each is warm."""
    experiment = load_default()[EXPERIMENT]
    data = arrays.load(experiment.data_set)
    images, labels = data.train_images[:NOTEBOOK_IMAGES], data.train_labels[:NOTEBOOK_IMAGES]
    cores = usable_cores()
    found: dict[str, Callable[[], float]] = {
        "notebook": NotebookTraining(experiment, images, labels, device, workers=0).epoch,
        f"notebook, {cores} loader workers": NotebookTraining(experiment, images, labels, device, workers=cores).epoch,
        "ours, plain torch": OwnTraining(device, cores, "eager", 6_400).epoch,
        "ours": OwnTraining(device, cores, "auto").epoch,
    }
    if device == "cpu" and cores > 1:
        found["ours, two runs"] = TwoRuns().epoch
    for run in found.values():
        run()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(usable_cores())
    try:
        entries = contestants(arguments.device)
    except DataError as error:
        sys.exit(f"benchmark: {error}")
    speeds: dict[str, list[float]] = {name: [] for name in entries}
    for pair in range(arguments.pairs):
        for name, run in entries.items():
            speeds[name].append(run())
        print(
            f"pair {pair + 1}/{arguments.pairs}: " + "  ".join(f"{name} {values[-1]:,.0f}" for name, values in speeds.items()), flush=True
        )
    peers = [name for name in entries if name.startswith("notebook")]
    fastest = max(peers, key=lambda name: statistics.median(speeds[name]))
    print(f"\nmedian over {arguments.pairs} pairs; ratio to '{fastest}'")
    print(f"{'':<30}{'images/s':>10}{'min':>9}{'max':>9}{'s/epoch':>9}{'ratio':>8}")
    summary = {}
    for name, values in speeds.items():
        ratios = [own / peer for own, peer in zip(values, speeds[fastest], strict=True)]
        middle = statistics.median(values)
        summary[name] = {
            "images_per_second": values,
            "median": middle,
            "ratio_to_fastest_notebook": statistics.median(ratios),
            "ratios": ratios,
        }
        print(f"{name:<30}{middle:>10,.0f}{min(values):>9,.0f}{max(values):>9,.0f}{60_000 / middle:>9.1f}{statistics.median(ratios):>8.2f}")
    if arguments.json:
        content = {"experiment": EXPERIMENT, "device": arguments.device, "environment": stamp(arguments.device), "entries": summary}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
