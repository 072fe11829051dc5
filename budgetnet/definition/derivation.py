"""Deriving one definition from another, comparing two, and the hash of what shapes training."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from budgetnet.definition.checks import DefinitionError
from budgetnet.definition.data_set import DataSet
from budgetnet.definition.experiment import COMPARED, Experiment


@dataclass(frozen=True)
class _Change:
    fields: Mapping[str, Any] = field(default_factory=dict)


def change(**fields: Any) -> Any:
    """Named changes of a nested record, for derive(): ``recipe=change(batch_size=64)`` keeps the rest of the recipe."""
    return _Change(fields)


def _apply(record: Any, changes: Mapping[str, Any], path: str) -> Any:
    known = [f.name for f in dataclasses.fields(record)]
    values = {}
    for name, value in changes.items():
        if name not in known:
            raise DefinitionError(f"{path}{name} is not a field of {type(record).__name__}; expected one of {', '.join(known)}")
        old = getattr(record, name)
        if isinstance(value, _Change):
            if not dataclasses.is_dataclass(old):
                raise DefinitionError(f"{path}{name} is {old!r} in the parent; give the whole value instead of change(...)")
            value = _apply(old, value.fields, f"{path}{name}.")
        values[name] = value
    return dataclasses.replace(record, **values)


def derive(parent: Experiment, name: str, **changes: Any) -> Experiment:
    """The experiment ``name``: ``parent`` plus named changes.

    What is a statement about the parent itself (reported figures, marks, notes, twin) is not inherited, except
    inferred and chosen marks of fields that did not change. Raises DefinitionError for a field that does not exist or cannot be so.
    """
    own = {"name": name, "parent": parent.name, "reported": None, "notes": "", "twin_of": None, "same_as": None, "marks": ()}
    child = _apply(parent, {**own, **changes}, "")
    changed = difference(parent, child)
    stated = {mark.field for mark in child.marks}
    kept = [
        mark for mark in parent.marks
        if mark.kind != "contradicted" and mark.field not in stated and not any(_touches(dotted, mark.field) for dotted in changed)
    ]  # fmt: skip
    return dataclasses.replace(child, marks=(*kept, *child.marks))


def _touches(changed: str, field: str) -> bool:
    """Tell whether one dotted name equals the other or lies within it."""
    return f"{changed}.".startswith(f"{field}.") or f"{field}.".startswith(f"{changed}.")


def plain(value: Any) -> Any:
    """A definition as JSON-ready data; a record carries its class name as ``kind`` so that alternatives stay apart."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__, **{f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def _essence(value: Any) -> Any:
    """Return ``plain`` without defaults, and with 5 and 5.0 equal."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = [f for f in dataclasses.fields(value) if f.default is dataclasses.MISSING or getattr(value, f.name) != f.default]
        return {"kind": type(value).__name__, **{f.name: _essence(getattr(value, f.name)) for f in kept}}
    if isinstance(value, tuple | list):
        return [_essence(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _essence(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def difference(before: Experiment, after: Experiment) -> dict[str, tuple[Any, Any]]:
    """The computed difference: dotted field name -> (before, after); what shapes training, and the budget.

    Where a record stands against None, or records of two kinds against each other, the whole record is named.
    """
    found: dict[str, tuple[Any, Any]] = {}

    def visit(a: Any, b: Any, path: str) -> None:
        if a == b:
            return
        if type(a) is type(b) and dataclasses.is_dataclass(a) and not isinstance(a, DataSet):
            for f in dataclasses.fields(a):
                visit(getattr(a, f.name), getattr(b, f.name), f"{path}.{f.name}")
        else:
            found[path] = (a, b)

    for name in COMPARED:
        visit(getattr(before, name), getattr(after, name), name)
    return found


def definition_hash(experiment: Experiment) -> str:
    """Sixteen hexadecimal digits that change exactly when something changes that shapes training.

    Prose, aims, reported figures, budgets and where verified files lie do not count; pictures in folders have no sums, so
    their folder does. Fields that have their default value are left out, so that a new field with a default that means
    "as before" makes no stored result stale.
    """
    folder = experiment.data_set.folder if experiment.data_set.format == "folder" else ""
    data = dataclasses.replace(experiment.data_set, mirrors=(), class_names=(), folder=folder)
    content = {"data_set": _essence(data), "model": _essence(experiment.model), "recipe": _essence(experiment.recipe)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
