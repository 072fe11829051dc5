"""Searches as frozen data: an experiment, the fields to vary, how to choose their values, and how many."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from budgetnet.definition.checks import DefinitionError, is_count, is_number, is_percent, one_of, require
from budgetnet.definition.derivation import change, definition_hash, derive, plain
from budgetnet.definition.experiment import Budget, Experiment
from budgetnet.definition.reported import PERCENT

Point = Mapping[str, Any]  # dotted field -> value, in the order of the study's space

MOST_POINTS = 10_000  # of a grid: more than that is a mistyped step


def stored(value: Any) -> Any:
    """A value as storages and records keep it: JSON scalars as they are, everything else as its representation."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


@dataclass(frozen=True)
class Choices:
    """These values and no others: numbers, words, tuples, frozen records, None."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        require(self, "values", lambda v: isinstance(v, tuple) and len(v) > 0, "a tuple of at least one value")
        kept = [stored(value) for value in self.values]
        require(self, "values", lambda v: all(kept.index(one) == place for place, one in enumerate(kept)), "values that all differ")


@dataclass(frozen=True)
class Range:
    """A range from ``low`` to ``high``, both included: of integers if both are, otherwise of floats.

    ``log`` searches by order of magnitude; ``step`` makes the range a row of values, which a grid needs.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        require(self, "low", is_number, "a number")
        require(self, "high", lambda v: is_number(v) and v > self.low, f"a number above low, {self.low!r}")
        require(self, "log", lambda v: isinstance(v, bool), "True or False")
        require(self, "low", lambda v: v > 0 or not self.log, "a number above 0, because log is True")
        require(self, "step", lambda v: v is None or (is_number(v) and v > 0), "a number above 0, or None")
        require(self, "step", lambda v: v is None or not self.log, "None, because log is True; or list the values as Choices")
        require(self, "step", lambda v: v is None or not self.whole or isinstance(v, int), "a whole number, as low and high are")

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def count(self) -> int:
        """Return the number of values without creating them, so that a mistyped step costs no memory."""
        steps = (self.high - self.low) // (self.step or 1) if self.whole else (self.high - self.low) / (self.step or 1) + 1e-9
        return math.floor(min(steps, 1e15)) + 1  # 1e-300 as a step would be infinitely many

    @property
    def values(self) -> tuple[float, ...]:
        """The row of values; only where there is a step."""
        row = (self.low + number * (self.step or 1) for number in range(self.count))
        return tuple(row) if self.whole else tuple(float(f"{value:.12g}") for value in row)  # 0.3, not 0.30000000000000004


@dataclass(frozen=True)
class ReportedAt:
    """A figure that the source reports for one point of a study: values in the order of the space, accuracy in percent."""

    point: tuple[Any, ...]
    accuracy: float

    def __post_init__(self) -> None:
        require(self, "point", one_of(tuple), "a tuple of values, one for each field of the space")
        require(self, "accuracy", is_percent, PERCENT)


@dataclass(frozen=True)
class Study:
    """A search for the values of some fields of ``base`` that give the highest validation accuracy.

    ``space`` is ((dotted field, Choices or Range), …). ``sampler`` 'grid' takes every combination once, 'tpe' proposes ``trials``
    points. A point's value is the last epoch's validation accuracy, the mean over ``seeds``. ``after`` names the study
    whose best point is put into ``base`` first. No trial sees the test set: the base must validate on a hold-out.
    """

    name: str
    base: Experiment
    space: tuple[tuple[str, Choices | Range], ...]
    sampler: str = "grid"
    trials: int | None = None
    seeds: tuple[int, ...] = (0,)
    after: str | None = None
    reported: tuple[ReportedAt, ...] = ()
    notes: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        require_name(self)
        require(self, "base", one_of(Experiment), "an Experiment")
        require(self, "space", _is_space, "((dotted field, Choices(...) or Range(...)), …)")
        require(self, "sampler", lambda v: v in ("grid", "tpe"), "'grid' or 'tpe'")
        require(self, "seeds", are_seeds, "a tuple of different seeds, whole numbers of at least 0")
        require(self, "after", lambda v: v is None or (isinstance(v, str) and v != self.name), "another study's name, or None")
        if self.sampler == "grid":
            require(self, "trials", lambda v: v is None, "None: a grid has as many trials as points")
        else:
            require(self, "trials", is_count, "a whole number of at least 1: how many points TPE proposes")
        if self.base.recipe.protocol.validation != "holdout":
            raise DefinitionError(
                f"Study.base of {self.name} validates on {self.base.recipe.protocol.validation!r}; expected a hold-out protocol, "
                "because a search must not look at the test set"
            )
        self._check_space()
        require(self, "reported", lambda v: isinstance(v, tuple) and all(isinstance(one, ReportedAt) for one in v), "ReportedAt(...)s")
        points = {tuple(map(stored, point.values())) for point in self.grid()} if self.sampler == "grid" and self.reported else None
        for one in self.reported:
            if len(one.point) != len(self.space):
                raise DefinitionError(f"Study.reported of {self.name} has {one.point!r}; expected a value for each of {self.fields}")
            if points is not None and tuple(map(stored, one.point)) not in points:  # no table could show it
                raise DefinitionError(f"Study.reported of {self.name} has {one.point!r}, no point of its grid; expected one of its space")

    def _check_space(self) -> None:
        """Every field exists, and every value that is listed can be: tried on the base here, not hours later."""
        for place, field in enumerate(self.fields):
            if field == "recipe":
                raise DefinitionError(f"Study.space of {self.name} names 'recipe'; expected its fields: whole, it brings its own protocol")
            if not field.startswith(("model", "recipe")) or field.startswith("recipe.protocol"):
                raise DefinitionError(f"Study.space of {self.name} names {field!r}; expected a field of the model or the recipe")
            for other in self.fields[:place]:
                if f"{field}.".startswith(f"{other}.") or f"{other}.".startswith(f"{field}."):
                    raise DefinitionError(f"Study.space of {self.name} names {field!r} beside {other!r}; expected each field once")
        ends = [(field, axis.values if isinstance(axis, Choices) else (axis.low, axis.high)) for field, axis in self.space]
        for point in (*(self.grid() if self.sampler == "grid" else ()), *({field: value} for field, values in ends for value in values)):
            at(self.base, point)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(field for field, _ in self.space)

    def grid(self) -> tuple[Point, ...]:
        """Every combination, the last field changing fastest. DefinitionError where a range has no step, or there are too many."""
        for field, axis in self.space:
            if isinstance(axis, Range) and axis.step is None:
                raise DefinitionError(
                    f"Study.space of {self.name} has {axis!r} for {field}; expected a step, or Choices: a grid needs a row of values"
                )
        count = math.prod(axis.count if isinstance(axis, Range) else len(axis.values) for _, axis in self.space)
        if count > MOST_POINTS:
            raise DefinitionError(f"Study.space of {self.name} has {count:,} points; expected at most {MOST_POINTS:,}")
        rows = itertools.product(*(axis.values for _, axis in self.space))
        return tuple(dict(zip(self.fields, values, strict=True)) for values in rows)

    def digest(self, base: Experiment, seeds: tuple[int, ...]) -> str:
        """Twelve hexadecimal digits that change with anything that the values of trials depend on."""
        axes = [[field, plain(axis)] for field, axis in self.space]
        content = [definition_hash(base), axes, self.sampler, list(seeds)]
        return hashlib.sha256(json.dumps(content, default=repr).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Plan:
    """Studies one after the other, then the chosen configuration, trained with ``final_seeds`` and scored on the test set once.

    The chosen configuration is the last study's base with the best point of every study put into it, in their order.
    """

    name: str
    studies: tuple[Study, ...]
    final_seeds: tuple[int, ...] = (0,)
    notes: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        require_name(self)
        if not (self.studies and isinstance(self.studies, tuple) and all(isinstance(study, Study) for study in self.studies)):
            raise DefinitionError(f"Plan.studies of {self.name} is {type(self.studies).__name__}; expected a tuple of at least one Study")
        require(self, "final_seeds", are_seeds, "a tuple of different seeds, whole numbers of at least 0")
        names: list[str] = [self.name]
        for study in self.studies:
            if study.name in names:
                raise DefinitionError(f"Plan.studies of {self.name} holds {study.name!r} twice, or as the plan's own name; rename one")
            if study.after is not None and study.after not in names[1:]:
                raise DefinitionError(f"{study.name}.after is {study.after!r}, which does not stand before it in the plan {self.name}")
            names.append(study.name)

    def final(self, best: Mapping[str, Point]) -> Experiment:
        """The chosen configuration, given the best point of every study by the study's name."""
        base = self.studies[-1].base
        point = {field: value for study in self.studies for field, value in best[study.name].items()}
        protocol = dataclasses.replace(base.recipe.protocol, test_at_end=True)
        final = at(base, point, f"{self.name}-final")
        return dataclasses.replace(final, recipe=dataclasses.replace(final.recipe, protocol=protocol))


def at(base: Experiment, point: Point, name: str | None = None) -> Experiment:
    """``base`` with the values of ``point``; an exact parameter count holds for the base alone, where the model is varied."""
    tree: dict[str, Any] = {}
    for field, value in point.items():
        *path, last = field.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    found = derive(base, name or base.name, **{key: _changes(value) for key, value in tree.items()})
    if any(field.startswith("model") for field in point):
        found = dataclasses.replace(found, budget=Budget(bound=base.budget.bound))
    return found


def _changes(branch: Any) -> Any:
    """A branch is a dict made here; a value that is a dict cannot be one of a frozen definition."""
    return change(**{key: _changes(value) for key, value in branch.items()}) if isinstance(branch, dict) else branch


def for_trial(base: Experiment, point: Point, name: str) -> Experiment:
    """The experiment that a trial trains: it has no aim, reports nothing, and never sees the test set."""
    found = at(base, point, name)
    protocol = dataclasses.replace(found.recipe.protocol, test_at_end=False)
    return dataclasses.replace(found, aim=None, recipe=dataclasses.replace(found.recipe, protocol=protocol))


def are_seeds(value: Any) -> bool:
    whole = isinstance(value, tuple) and all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in value)
    return whole and 0 < len(value) == len(set(value))


def require_name(owner: Study | Plan) -> None:
    require(owner, "name", lambda v: re.fullmatch(r"[a-z0-9][a-z0-9-]*", v) is not None, "lower-case letters, digits and -")


def _is_space(value: Any) -> bool:
    def is_axis(pair: Any) -> bool:
        return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], Choices | Range)

    return isinstance(value, tuple) and len(value) > 0 and all(map(is_axis, value))
