"""Definitions in words: values, differences to a parent, and the marks of what a source did not give."""

from __future__ import annotations

import dataclasses
import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from budgetnet.definition import DataSet, Experiment, Mark, difference, flatten

MANY = 3  # records in a list that a line has room for
LEFT_OUT_PREFIXES = ("recipe.", "model.")  # what most changes are about goes without saying


@dataclass(frozen=True)
class Phrase:
    """A piece of text and the marks of the values in it."""

    text: str
    marks: tuple[Mark, ...] = ()


def value_text(value: Any) -> str:
    """A value of a definition as a reader writes it: ``14-14-10``, ``yes``, ``none``, ``StepLR(step_size=6)``."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if len(record_lines(value)) > MANY:
        return f"({counted_kinds(value)})"
    if isinstance(value, tuple | list):
        plain = value and all(isinstance(item, int) and not isinstance(item, bool) for item in value)
        return "-".join(map(str, value)) if plain else "(" + ", ".join(map(value_text, value)) + ")"
    if isinstance(value, DataSet):
        return value.name
    if dataclasses.is_dataclass(value):
        return record_text(value)
    return str(value)


def record_text(record: Any) -> str:
    """A record by its kind and the fields that differ from their defaults."""
    said = []
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if value != default:
            number = isinstance(value, int) and not isinstance(value, bool)  # a comma inside would read as two arguments
            said.append(f"{field.name}={value if number else value_text(value)}")
    return f"{type(record).__name__}({', '.join(said)})"


def record_lines(value: Any) -> list[str]:
    """The records of a tuple of them, such as a network's layers, one a line and numbered from 1; nothing for any other value."""
    if not isinstance(value, tuple) or not value or not all(dataclasses.is_dataclass(item) for item in value):
        return []
    width = len(str(len(value)))
    return [f"{number:>{width}}  {record_text(item)}" for number, item in enumerate(value, start=1)]


def counted_kinds(records: Iterable[Any]) -> str:
    """``7 Conv2D, 2 MaxPooling2D``: a long list of records by how many there are of each kind, in the order of the first."""
    return ", ".join(f"{number} {kind}" for kind, number in Counter(type(record).__name__ for record in records).items())


def records_change(before: Any, after: Any) -> str:
    """Return the records that only one of two lists has: ``+ BatchNormalization() ×3, − Dropout(rate=0.5)``."""
    old, new = (Counter(map(record_text, records)) for records in (before, after))
    changes = [("+", *item) for item in (new - old).items()] + [("−", *item) for item in (old - new).items()]
    return ", ".join(f"{sign} {text}{f' ×{number}' if number > 1 else ''}" for sign, text, number in changes) or "in another order"


def short_name(dotted: str) -> str:
    """``batch_size`` for ``recipe.batch_size``; other prefixes stay."""
    for prefix in LEFT_OUT_PREFIXES:
        if dotted.startswith(prefix):
            return dotted[len(prefix) :]
    return dotted


def change_phrases(experiment: Experiment, parent: Experiment | None, budget: bool = False) -> list[Phrase]:
    """Return the changes of an experiment to its parent, a phrase for each field; the model if there is no parent.

    Changes of the budget are left out unless asked for: tables have columns of their own for it.
    """
    if parent is None:
        return [Phrase(record_text(experiment.model), marks_of(experiment, "model"))]
    phrases = []
    for dotted, (before, after) in difference(parent, experiment).items():
        if dotted.startswith("budget") and not budget:
            continue
        if record_lines(before) and record_lines(after):
            phrases.append(Phrase(f"{short_name(dotted)} {records_change(before, after)}", marks_of(experiment, dotted)))
            continue
        old, new = value_text(before), value_text(after)
        if dataclasses.is_dataclass(before) and dataclasses.is_dataclass(after):
            old = type(before).__name__  # another kind of record: the old one's fields would only take space
        phrases.append(Phrase(f"{short_name(dotted)} {old}→{new}", marks_of(experiment, dotted)))
    return phrases or [Phrase("nothing that shapes training")]


def marks_of(experiment: Experiment, dotted: str) -> tuple[Mark, ...]:
    """The marks on a field, on a record that holds it, or on a field within it."""

    def within(inner: str, outer: str) -> bool:
        return inner == outer or inner.startswith(outer + ".")

    return tuple(mark for mark in experiment.marks if within(dotted, mark.field) or within(mark.field, dotted))


def inherited_marks(experiment: Experiment, phrases: Iterable[Phrase]) -> tuple[Mark, ...]:
    """The marks of an experiment that none of its changes shows: of values that it has from its parent."""
    shown = {mark for phrase in phrases for mark in phrase.marks}
    return tuple(mark for mark in experiment.marks if mark not in shown)


def number_marks(experiments: Iterable[Experiment]) -> dict[Mark, int]:
    """Every different mark and its footnote number, from 1, in the order of first use."""
    numbers: dict[Mark, int] = {}
    for experiment in experiments:
        for mark in experiment.marks:
            numbers.setdefault(mark, len(numbers) + 1)
    return numbers


def record_kinds(experiment: Experiment) -> dict[str, str]:
    """The class of every record within a definition whose field does not say it: ``recipe.optimizer`` -> ``Adam``."""
    kinds: dict[str, str] = {}
    for dotted in flatten(experiment):
        path = dotted.rpartition(".")[0]
        if path and path not in kinds:
            kinds[path] = type(operator.attrgetter(path)(experiment)).__name__
    return {path: kind for path, kind in kinds.items() if kind.lower() != path.rpartition(".")[2]}


def definition_lines(experiment: Experiment) -> list[tuple[str, str, tuple[Mark, ...]]]:
    """The resolved definition: dotted name, value in words, marks on exactly this value; kinds of records before their fields."""
    lines: list[tuple[str, str, tuple[Mark, ...]]] = []
    kinds = record_kinds(experiment)
    for dotted, value in flatten(experiment).items():
        path = dotted.rpartition(".")[0]
        if path in kinds:
            lines.append((path, kinds.pop(path), ()))
        marks = tuple(m for m in experiment.marks if dotted == m.field or dotted.startswith(m.field + "."))
        lines.append((dotted, "\n".join(record_lines(value)) or value_text(value), marks))
    return lines


def validation_label(experiment: Experiment) -> str:
    """Which images 'validation' means for an experiment."""
    protocol = experiment.recipe.protocol
    data = {"mnist": "MNIST", "mnist-unit": "MNIST"}.get(experiment.data_set.name, experiment.data_set.name)
    if protocol.validation == "test":
        return f"validation (= {data} test set, every epoch, as the document does)"
    test = "the test set is scored once, at the end" if protocol.test_at_end else "the test set is left alone"
    return f"validation (= {protocol.holdout:,} held-out {data} training images; {test})"
