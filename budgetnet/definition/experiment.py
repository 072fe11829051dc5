"""The experiment: a frozen definition of what is trained, within which budget, and what is expected of it."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from budgetnet.definition.checks import DefinitionError, is_count, is_percent, is_text, one_of, require, require_plain
from budgetnet.definition.data_set import DataSet
from budgetnet.definition.recipe import Recipe
from budgetnet.definition.reported import PERCENT, Reported

COMPARED = ("data_set", "model", "recipe", "budget")


@dataclass(frozen=True)
class Budget:
    """``bound``: at most so many trainable parameters; ``exact``: exactly so many, where a document gives the count.

    ``keras_total``: exactly so many as Keras counts, which adds the moving statistics of batch normalization.
    """

    bound: int | None = None
    exact: int | None = None
    keras_total: int | None = None

    def __post_init__(self) -> None:
        for name in ("bound", "exact", "keras_total"):
            require(self, name, lambda v: v is None or is_count(v), "a whole number of at least 1, or None")
        if self.bound is not None and self.exact is not None:
            require(self, "exact", lambda v: v <= self.bound, f"a count within the bound of {self.bound}")


@dataclass(frozen=True)
class Aim:
    """The accuracy, in percent, that an experiment is judged against, and the aim in its document's words."""

    accuracy: float
    text: str = ""

    def __post_init__(self) -> None:
        require(self, "accuracy", is_percent, PERCENT)
        require(self, "text", is_text, "the aim in words")


@dataclass(frozen=True)
class Mark:
    """Says of a field (by dotted name) that the source does not simply give its value.

    ``inferred``: follows from other facts of the source. ``chosen``: decided by us, by measurement or convention.
    ``contradicted``: the source gives another value elsewhere; this one was run.
    """

    field: str
    kind: str
    why: str

    def __post_init__(self) -> None:
        for name in ("field", "why"):
            require(self, name, is_text, "a text")
        require(self, "kind", lambda v: v in ("inferred", "chosen", "contradicted"), "'inferred', 'chosen' or 'contradicted'")


@dataclass(frozen=True)
class Experiment:
    """A frozen definition; ``model`` is a frozen description whose ``build(image_shape, classes)`` gives the module.

    Its values are plain: numbers, texts, None, and tuples and dataclasses of these. Raises DefinitionError for any other.

    ``same_as`` names an earlier experiment that trains exactly the same. Both share the runs of that one, and differ
    in aims, reported figures and prose only.
    """

    name: str
    data_set: DataSet
    model: Any
    recipe: Recipe
    budget: Budget = Budget()
    aim: Aim | None = None
    reported: Reported | None = None
    parent: str | None = None
    twin_of: str | None = None
    same_as: str | None = None
    source: str = ""
    marks: tuple[Mark, ...] = ()
    notes: str = ""

    def __post_init__(self) -> None:
        require(self, "name", lambda v: re.fullmatch(r"[a-z0-9][a-z0-9-]*", v) is not None, "lower-case letters, digits and -")
        require(self, "data_set", one_of(DataSet), "a DataSet")
        require(self, "model", is_model_description, "a frozen dataclass with a build(image_shape, classes) method")
        require(self, "recipe", one_of(Recipe), "a Recipe")
        require(self, "budget", one_of(Budget), "a Budget")
        require(self, "aim", one_of(Aim, type(None)), "an Aim, or None")
        require(self, "reported", one_of(Reported, type(None)), "Reported(...), or None")
        require(self, "marks", lambda v: isinstance(v, tuple) and all(isinstance(m, Mark) for m in v), "a tuple of Mark(...)")
        for name in ("parent", "twin_of", "same_as"):
            require(self, name, lambda v: v is None or is_text(v), "an experiment's name, or None")
        for name in ("source", "notes"):
            require(self, name, is_text, "a text")
        for field in dataclasses.fields(self):
            require_plain(getattr(self, field.name), f"{self.name}.{field.name}")
        known = flatten(self)
        for mark in self.marks:
            if mark.field not in known and not any(name.startswith(mark.field + ".") for name in known):
                raise DefinitionError(f"Experiment.marks of {self.name} names {mark.field!r}; expected one of {', '.join(known)}")

    @property
    def runs_name(self) -> str:
        """The name of the experiment whose runs stand for this one: its own, or that of ``same_as``."""
        return self.same_as or self.name


def is_model_description(value: Any) -> bool:
    params = getattr(type(value), "__dataclass_params__", None)
    return params is not None and params.frozen and callable(getattr(value, "build", None))


def flatten(experiment: Experiment) -> dict[str, Any]:
    """Every compared value of a definition by its dotted name (``recipe.optimizer.lr``), in order of definition."""
    flat: dict[str, Any] = {}

    def visit(value: Any, path: str) -> None:
        if dataclasses.is_dataclass(value) and not isinstance(value, type | DataSet):
            for f in dataclasses.fields(value):
                visit(getattr(value, f.name), f"{path}.{f.name}")
        else:
            flat[path] = value.name if isinstance(value, DataSet) else value

    for name in COMPARED:
        visit(getattr(experiment, name), name)
    return flat
