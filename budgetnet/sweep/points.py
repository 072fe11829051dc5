"""Runs of points: their names, and the points that a run answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.definition import DefinitionError, Experiment, Point, Study
from budgetnet.definition.study import at, for_trial, stored

EPOCHS = "recipe.epochs"
LONGEST, LONGEST_NAME = 48, 200  # characters of one value in a folder's name, and of the whole name


@dataclass(frozen=True)
class Group:
    """The points, by their index, that one run answers; the leader is the one that is trained, and it is told last."""

    leader: int
    members: tuple[int, ...]

    @property
    def telling_order(self) -> tuple[int, ...]:
        return (*(index for index in self.members if index != self.leader), self.leader)


def groups(study: Study, base: Experiment) -> list[Group]:
    """The runs that a grid needs, in the order of its points.

    Where the learning rate follows no schedule, a shorter run is the beginning of a longer one (on a CPU bit for bit; on CUDA up
    to its own nondeterminism): of the points that differ in the epochs alone, the longest is trained and the others are read off
    its record.
    """
    grid = study.grid()
    if EPOCHS not in study.fields:
        return [Group(index, (index,)) for index in range(len(grid))]
    together: dict[Any, list[int]] = {}
    for index, point in enumerate(grid):
        others = tuple(repr(value) for field, value in point.items() if field != EPOCHS)
        together.setdefault(others if _nested(base, point) else (index, others), []).append(index)
    return [Group(max(members, key=lambda index: grid[index][EPOCHS]), tuple(members)) for members in together.values()]


def _nested(base: Experiment, point: Point) -> bool:
    """Tell whether a shorter run is the beginning of a longer one; False for a point that what earlier studies chose makes impossible."""
    try:
        return at(base, point).recipe.schedule is None
    except DefinitionError:
        return False


def trial_experiment(study: Study, base: Experiment, point: Point) -> Experiment:
    """The ordinary experiment of a point; its name, and so its folder, says the point."""
    name = "--".join(f"{name}-{slug(point[field])}" for field, name in short_names(study.fields).items())
    return for_trial(base, point, name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME].strip('-')}-{_digest(name)}")


def short_names(fields: Sequence[str]) -> dict[str, str]:
    """``recipe.batch_size`` as ``batch-size``; the whole dotted name where two would be the same."""
    last = [field.rpartition(".")[2] for field in fields]
    return {field: _clean(name if last.count(name) == 1 else field) for field, name in zip(fields, last, strict=True)}


def slug(value: Any) -> str:
    """A value within a folder's name: ``0p0001`` for 0.0001; what would not be unique any more gets a digest."""
    text = str(stored(value))
    clean = _clean(re.sub(r"(?<=\d)\.(?=\d)", "p", text))
    scalar = isinstance(value, int | float) or value is None
    if (scalar or clean == text) and len(clean) <= LONGEST:
        return clean
    return f"{clean[:LONGEST].strip('-')}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _clean(text: str) -> str:
    text = re.sub(r"^-(?=\d)", "minus-", text.lower()).replace("e+", "e")
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-") or "empty"
