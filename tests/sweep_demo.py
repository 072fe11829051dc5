"""Synthetic records of searches for the tests of the report: every kind of drawing, every state, no training."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from budgetnet.study_results import STUDIES, AxisRecord, FinalRecord, PlanRecord, PointRecord, StudyRecord, to_json

ENVIRONMENT = {"date": "2026-11-22T10:00:00+00:00", "torch": "2.14.0", "cpu": "a synthetic one", "cores": 2}


def demo_study(name: str, axes: tuple[AxisRecord, ...], points: list[PointRecord], **fields: Any) -> StudyRecord:
    complete = [point for point in points if point.value is not None]
    best = max(complete, key=lambda point: point.value or 0.0, default=None)
    values: dict[str, Any] = {
        "digest": "0123456789ab", "sampler": "grid", "seeds": (0,), "best": None if best is None else best.number, "base": "net",
        "data_set": "mnist", "holdout": 10_000, "environment": ENVIRONMENT,
    }  # fmt: skip
    return StudyRecord(name=name, axes=axes, points=tuple(points), **(values | fields))


def demo_point(number: int, point: dict[str, Any], value: float | None, seeds: int = 1, **fields: Any) -> PointRecord:
    spread = np.random.default_rng(number).normal(0, 0.04, seeds) if seeds > 1 else np.zeros(1)
    by_seed = {} if value is None else {str(seed): round(value + float(shift), 2) for seed, shift in enumerate(spread)}
    return PointRecord(number, "complete" if value is not None else "failed", point, value, by_seed, 12.5, **fields)


def demo_map() -> StudyRecord:
    sizes, epochs = (16, 32, 64, 128, 256), (1, 2, 3, 4, 5)
    axes = (AxisRecord("recipe.batch_size", sizes), AxisRecord("recipe.epochs", epochs))
    random = np.random.default_rng(3)
    points = []
    for number, (size, epoch) in enumerate(itertools.product(sizes, epochs)):
        value = round(99.2 - 2.2 * np.exp(-epoch / 1.5) * (size / 64) ** 0.4 + random.normal(0, 0.06), 2)
        points.append(demo_point(number, {"recipe.batch_size": size, "recipe.epochs": epoch}, value))
    why = "seed 0: the loss is nan at step 12 of epoch 1; try a lower learning rate"
    points[0] = demo_point(0, points[0].point, None, reason=why)
    points[24] = PointRecord(24, "running", points[24].point)
    return demo_study("demo-batch", axes, points, source="a notebook", notes="Epochs are read off one run for each batch size.")


def demo_curve() -> StudyRecord:
    rates = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    found = (93.1, 97.2, 98.6, 99.02, 99.11, 98.2, None)
    points = [
        demo_point(n, {"recipe.optimizer.lr": rate}, value, 3, reason=None if value else "seed 1: the loss is nan at step 1 of epoch 1")
        for n, (rate, value) in enumerate(zip(rates, found, strict=True))
    ]
    fixed = {"recipe.batch_size": 64, "recipe.epochs": 4}
    return demo_study("demo-rate", (AxisRecord("recipe.optimizer.lr", rates),), points, seeds=(0, 1, 2), fixed=fixed)


def demo_table() -> StudyRecord:
    axes = (AxisRecord("model.norm", (True, False)), AxisRecord("model.dropout", (0.25, 0.0)))
    values = (99.21, 99.12, 98.93, 98.97)
    points = [
        demo_point(n, {"model.norm": norm, "model.dropout": dropout}, value, 3)
        for n, ((norm, dropout), value) in enumerate(zip(itertools.product((True, False), (0.25, 0.0)), values, strict=True))
    ]
    reported = tuple(zip(itertools.product((True, False), (0.25, 0.0)), (99.3, 98.8, 99.0, 98.9), strict=True))
    return demo_study("demo-parts", axes, points, seeds=(0, 1, 2), reported=reported)


def demo_proposals() -> StudyRecord:
    random = np.random.default_rng(5)
    axes = (AxisRecord("recipe.optimizer.lr", None, 1e-4, 1.0, True), AxisRecord("recipe.batch_size", None, 16, 256))
    points = []
    for number in range(20):
        rate, size = float(f"{10 ** random.uniform(-4, 0):.4g}"), int(random.integers(16, 257))
        value = None if rate > 0.6 else round(99.3 - 0.6 * (np.log10(rate) + 2) ** 2 - abs(size - 64) / 300, 2)
        points.append(
            demo_point(number, {"recipe.optimizer.lr": rate, "recipe.batch_size": size}, value, reason=None if value else "diverged")
        )
    points.append(PointRecord(20, "waiting", {}))
    return demo_study("demo-proposals", axes, points, sampler="tpe")


def demo_plan() -> PlanRecord:
    chosen = {"recipe.batch_size": 64, "recipe.epochs": 4, "recipe.optimizer.lr": 0.001, "model.norm": True, "model.dropout": 0.25}
    runs = (FinalRecord(0, 99.18, 99.24, 0.0281, 61.2), FinalRecord(1, 99.14, 99.19, 0.0277, 60.8))
    studies = ("demo-batch", "demo-rate", "demo-parts")
    return PlanRecord("demo", studies, chosen, runs, "0" * 16, notes="A plan that was never run.", environment=ENVIRONMENT)


def store_demo(root: Path) -> None:
    """Every kind of study, and a plan, where a sweep would write them."""
    for record in (demo_map(), demo_curve(), demo_table(), demo_proposals(), demo_plan()):
        folder = root / STUDIES / record.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("plan.json" if isinstance(record, PlanRecord) else "study.json")).write_text(to_json(record), encoding="utf-8")
