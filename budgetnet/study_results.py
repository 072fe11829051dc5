"""The small JSON records of a search: ``study.json`` of one study, ``plan.json`` of a plan's end.

``<root>/studies/<study>/study.json`` is written after every trial, so that reports need neither the storage nor what reads it.
Accuracies are in percent, times in seconds. Values of points are JSON scalars; other values stand there as text.
Nothing here imports torch or optuna.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

FORMAT = 1
STUDIES, STUDY, PLAN = "studies", "study.json", "plan.json"


class StudyRecordError(Exception):
    """A record that cannot be read; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class AxisRecord:
    """A field of a search: its dotted name, and either the values or the range that it was searched over."""

    field: str
    values: tuple[Any, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False


@dataclass(frozen=True)
class PointRecord:
    """A trial: its number in the storage, its point, and its outcome.

    ``state`` is 'complete', 'failed' (``reason`` says why), 'running', 'interrupted' (the next sweep goes on) or 'waiting'.
    ``value`` is the mean of the last epoch's
    validation accuracies over ``by_seed``. ``point`` is empty while nothing was proposed yet.
    """

    number: int
    state: str
    point: dict[str, Any]
    value: float | None = None
    by_seed: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    reason: str | None = None
    run: str | None = None


@dataclass(frozen=True)
class StudyRecord:
    """A study as far as it is: ``best`` is the number of the best trial, also while trials are left.

    ``fixed`` are the values that the best points of earlier studies set before; ``reported`` are (values in the order of the
    axes, accuracy) of the source.
    """

    name: str
    digest: str
    sampler: str
    axes: tuple[AxisRecord, ...]
    seeds: tuple[int, ...]
    points: tuple[PointRecord, ...]
    best: int | None
    fixed: dict[str, Any] = field(default_factory=dict)
    reported: tuple[tuple[tuple[Any, ...], float], ...] = ()
    base: str = ""
    data_set: str = ""
    holdout: int = 0
    notes: str = ""
    source: str = ""
    storage: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def complete(self) -> tuple[PointRecord, ...]:
        return tuple(point for point in self.points if point.value is not None)

    @property
    def best_point(self) -> PointRecord | None:
        return next((point for point in self.points if point.number == self.best), None)

    @property
    def left(self) -> int:
        """Trials that are still to be done."""
        return sum(point.state in ("running", "interrupted", "waiting") for point in self.points)


@dataclass(frozen=True)
class FinalRecord:
    """A run of the chosen configuration: the only use of the test set."""

    seed: int
    validation_accuracy: float
    test_accuracy: float
    test_loss: float
    seconds: float


@dataclass(frozen=True)
class PlanRecord:
    """A plan at its end: its studies in order, what they chose, and the runs of the chosen configuration."""

    name: str
    studies: tuple[str, ...]
    chosen: dict[str, Any]
    final: tuple[FinalRecord, ...]
    definition_hash: str
    notes: str = ""
    source: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def to_json(record: StudyRecord | PlanRecord) -> str:
    return json.dumps(asdict(record), indent=1, allow_nan=False) + "\n"


def read_study(path: Path) -> StudyRecord:
    """The record in ``path``. Raises StudyRecordError."""
    data = _read(path)
    try:
        data["axes"] = tuple(
            AxisRecord(**axis | {"values": None if axis["values"] is None else tuple(axis["values"])}) for axis in data["axes"]
        )
        data["points"] = tuple(PointRecord(**point) for point in data["points"])
        data["reported"] = tuple((tuple(point), float(accuracy)) for point, accuracy in data["reported"])
        data["seeds"] = tuple(data["seeds"])
        return StudyRecord(**_known(data, StudyRecord))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, error) from error


def read_plan(path: Path) -> PlanRecord:
    """The record in ``path``. Raises StudyRecordError."""
    data = _read(path)
    try:
        data["final"] = tuple(FinalRecord(**run) for run in data["final"])
        data["studies"] = tuple(data["studies"])
        return PlanRecord(**_known(data, PlanRecord))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, error) from error


def find(root: Path, name: str) -> Iterator[Path]:
    """The files called ``name`` (STUDY or PLAN) under a root, in the order of their folders' names."""
    yield from sorted((root / STUDIES).glob(f"*/{name}"))


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("format") != FORMAT:
            raise StudyRecordError(f"{path} has format {data.get('format')!r}; this version of budgetnet reads {FORMAT}")
    except (OSError, ValueError, AttributeError) as error:
        raise _unreadable(path, error) from error
    return dict(data)


def _known(data: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    return {f.name: data[f.name] for f in fields(kind)}


def _unreadable(path: Path, error: Exception) -> StudyRecordError:
    return StudyRecordError(
        f"{path} is not a readable record of a search ({type(error).__name__}: {error}); `budgetnet sweep` writes it again"
    )
