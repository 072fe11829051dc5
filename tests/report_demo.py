"""A synthetic catalogue with synthetic results for the tests of the report: every status, no training."""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from budgetnet.catalogue import Catalogue
from budgetnet.definition import (
    SGD,
    Aim,
    Augmentation,
    Budget,
    DataFile,
    DataSet,
    Experiment,
    Mark,
    Recipe,
    Reported,
    StepLR,
    change,
    definition_hash,
    derive,
    plain,
)  # fmt: skip
from budgetnet.diagnostics.record import Diagnostics, WorstError
from budgetnet.diagnostics.weights import summarize
from budgetnet.results import EpochRecord, Result
from budgetnet.structure import Layer


@dataclass(frozen=True)
class Plain:
    """A model description without a model."""

    widths: tuple[int, ...]
    bias: bool = False
    dropout: float | None = None

    def build(self, image_shape: tuple[int, int, int], classes: int) -> None:
        raise AssertionError("a report must not build a model")


@dataclass(frozen=True)
class Pointwise:
    """Another kind of model description."""

    widths: tuple[int, ...]
    dropout: float = 0.05

    def build(self, image_shape: tuple[int, int, int], classes: int) -> None:
        raise AssertionError("a report must not build a model")


MNIST = DataSet("mnist", (1, 28, 28), 10, 0.1307, 0.3081, files=tuple(DataFile(f"file-{i}", str(i) * 64) for i in range(4)))
LR = Mark("recipe.optimizer.lr", "chosen", "not given; the best of five rates over three seeds, within 0.01 < lr ≤ 0.19")
DROPOUT = Mark("model.dropout", "chosen", "a smaller dropout is mentioned, its rate is not")
WIDTHS = Mark("model.widths", "inferred", "the smallest change to step 9 that gives the count of 5,854")


def demo_steps() -> list[Experiment]:
    """Thirteen steps in the manner of a real progression."""
    recipe = Recipe(SGD(0.01, momentum=0.9), batch_size=128, epochs=20)
    s1 = Experiment("step-01", MNIST, Plain((32,) * 5, bias=True), recipe, Budget(exact=40202), Aim(99.0))
    s2 = derive(s1, "step-02", model=Plain((14,) * 5), recipe=change(epochs=15), budget=Budget(10000, 8442), aim=Aim(99.0, "near 99 %"))
    s3 = derive(s2, "step-03", model=Plain((14,) * 5, dropout=0.1), budget=Budget(10000, 8582))
    s4 = derive(s3, "step-04", recipe=change(augmentation=Augmentation(rotation=7.0, fill=1)), aim=Aim(99.4, "> 99.4 %"))
    s5 = derive(s4, "step-05", recipe=change(schedule=StepLR(6, 0.1)))
    s6 = derive(s5, "step-06", model=change(dropout=0.05), marks=(DROPOUT,))
    s7 = derive(s6, "step-07", recipe=change(batch_size=64, augmentation=change(rotation=5.0)))
    s8 = derive(s7, "step-08", recipe=change(optimizer=change(lr=0.05)), marks=(*s7.marks, LR))
    faster, longer = change(optimizer=change(lr=0.1)), change(schedule=StepLR(7, 0.1))
    s9 = derive(s8, "step-09", model=change(widths=(12, 12, 14, 14, 14)), recipe=faster, budget=Budget(8000, 7836), marks=s8.marks)
    s10 = derive(
        s9, "step-10", model=change(widths=(10, 10, 12, 12, 12)), recipe=longer, budget=Budget(6000, 5854), marks=(*s9.marks, WIDTHS)
    )
    s11 = derive(s10, "step-11", model=change(widths=(10, 10, 12, 12, 14)), budget=Budget(8000, 6254), marks=(*s10.marks,))
    s12 = derive(s11, "step-12", model=change(widths=(10, 10, 12, 12, 13)), budget=Budget(8000, 6054), marks=(*s11.marks,))
    s13 = derive(s12, "step-13", model=change(widths=(10, 10, 10, 12, 14)), budget=Budget(6000, 5854), marks=(*s12.marks,))
    reported = (99.23, 98.90, 99.35, 99.37, 99.25, 99.40, 99.42, 99.44, 99.42, 99.38, 99.45, 99.40, 99.40)
    steps = (s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13)
    return [
        replace(step, reported=Reported(figure), source=f"era_s7, step {number}")
        for number, (step, figure) in enumerate(zip(steps, reported, strict=True), start=1)
    ]


def demo_catalogue() -> Catalogue:
    """The steps and their twins."""
    steps = demo_steps()
    twins = [
        derive(
            step,
            f"{step.name}-pointwise",
            model=Pointwise((8, 16, 8, 12, 12)),
            budget=Budget(bound=step.budget.exact),
            twin_of=step.name,
            source=f"{step.source} as described",
        )
        for step in steps
    ]
    return Catalogue([*steps, *twins])


def demo_result(
    experiment: Experiment, seed: int, final: float, epochs: int | None = None, parameters: int | None = None, **fields: Any
) -> Result:
    """A result whose accuracy rises to ``final`` percent; ``epochs`` fewer than planned make it a partial one."""
    planned = experiment.recipe.epochs
    random = np.random.default_rng(1000 * seed + len(experiment.name))
    records = []
    for epoch in range(1, (epochs or planned) + 1):
        error = (100 - final) * (1 + 9 * np.exp(-epoch / 2.2)) * np.exp(random.normal(0, 0.06) if epoch < planned else 0)
        validation = final if epoch == planned else round(100 - error, 2)
        train = round(100 - 1.6 * error, 2)
        lr = experiment.recipe.optimizer.lr
        records.append(EpochRecord(epoch, lr, 0.05 * error * 1.5, train, 0.04 * error, validation, 1.9 + 0.1 * random.random()))
    counts = {"trainable": parameters or experiment.budget.exact or 1000}
    values: dict[str, Any] = {
        "experiment": experiment.runs_name, "definition_hash": definition_hash(experiment), "seed": seed, "definition": plain(experiment),
        "parameters": counts, "epochs_planned": planned, "epochs": tuple(records), "validation": experiment.recipe.protocol.validation,
        "device": "cpu", "engine": "kernels", "precision": "fp32", "threads": 1,
        "environment": {"python": "3.11.7", "cpu": "a synthetic one"},
    }  # fmt: skip
    return Result(**(values | fields))


def demo_layers(branches: int = 2) -> tuple[Layer, ...]:
    """A network that forks, as a trace would give it."""
    layers = [Layer("input", "Input", (1, 28, 28), 0, 0, ()), Layer("stem", "Conv2d", (8, 28, 28), 80, 80, ("input",))]
    for n in range(branches):
        layers.append(Layer(f"branch{n}.conv", "Conv2d", (16, 28, 28), 1168, 1168, ("stem",)))
        layers.append(Layer(f"branch{n}.relu", "ReLU", (16, 28, 28), 0, 0, (f"branch{n}.conv",)))
        layers.append(Layer(f"branch{n}.pool", "MaxPool2d", (16, 14, 14), 0, 0, (f"branch{n}.relu",)))
    layers.append(Layer("cat", "cat", (16 * branches, 14, 14), 0, 0, tuple(f"branch{n}.pool" for n in range(branches))))
    return (*layers, Layer("dense", "Linear", (10,), 62_730, 62_730, ("cat",)))


def demo_diagnostics(result: Result, **fields: Any) -> Diagnostics:
    """A record of a demo result: ten classes, 4 and 9 confused most, twelve errors."""
    random = np.random.default_rng(result.seed)
    confusion = np.diag([100] * 10) + np.eye(10, k=3, dtype=int)
    confusion[4, 9] = confusion[9, 4] = 6
    pixels = [base64.b64encode(random.integers(0, 256, 784, dtype=np.uint8).tobytes()).decode() for _ in range(12)]
    errors = tuple(WorstError(700 + n, 4, 9, 0.99 - n / 100, 0.001, image) for n, image in enumerate(pixels))
    weights = summarize([("stem.weight", random.normal(0, 0.3, (8, 1, 3, 3))), ("stem.bias", np.zeros(8))])
    values: dict[str, Any] = {
        "experiment": result.experiment, "definition_hash": result.definition_hash, "seed": result.seed, "images": "test",
        "loss": 0.02, "accuracy": 98.1, "confusion": tuple(tuple(map(int, row)) for row in confusion), "picture_shape": (1, 28, 28),
        "errors": errors, "weights": weights, "layers": demo_layers(),
    }  # fmt: skip
    return Diagnostics(**(values | fields))


def store(root: Path, result: Result) -> Path:
    """Write a result where a run would; returns the run directory."""
    directory = root / result.experiment / f"seed-{result.seed}"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ("result.json" if result.finished else "partial.json")).write_text(result.to_json(), encoding="utf-8")
    return directory


def store_seeds(root: Path, experiment: Experiment, finals: list[float], **fields: Any) -> None:
    for seed, final in enumerate(finals):
        store(root, demo_result(experiment, seed, final, **fields))


def store_demo(catalogue: Catalogue, runs: Path, shelf: Path) -> None:
    """Results of every status: 5, 3 and 1 seeds, partial, stale, unreadable, missing, and a second root."""
    random = np.random.default_rng(7)
    for number, experiment in enumerate(catalogue):
        reported = experiment.reported
        centre = reported.validation_accuracy - 0.01 if reported else 99.39
        seeds = (5, 3, 5, 3, 5, 1, 5)[number % 7]
        finals = [round(float(value), 2) for value in random.normal(centre, 0.045, seeds)]
        count = experiment.budget.exact or (experiment.budget.bound or 1000) - 23 * (number % 5) - 12
        if experiment.name in ("step-12", "step-12-pointwise", "step-13-pointwise"):
            continue
        if experiment.name == "step-11":
            store(runs, demo_result(experiment, 0, 99.4, epochs=2))
        elif experiment.name == "step-10-pointwise":
            store(shelf, dataclasses.replace(demo_result(experiment, 0, 99.4), definition_hash="0" * 16))
        else:
            root = runs if experiment.name in ("step-13", "step-08") else shelf
            fields: dict[str, Any] = {"device": "cuda", "engine": "graphs"} if root is runs else {}
            store_seeds(root, experiment, finals, parameters=count, **fields)
    store(shelf, dataclasses.replace(demo_result(catalogue["step-04"], 9, 99.4), definition_hash="0" * 16))
    store(shelf, demo_result(catalogue["step-05"], 9, 99.4, epochs=3))
    bad = store(shelf, demo_result(catalogue["step-12"], 0, 99.4)) / "result.json"
    bad.write_text(json.dumps({"format": 1, "epochs": []}), encoding="utf-8")
