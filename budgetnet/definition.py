"""What an experiment is: frozen data, checked when it is built, compared field by field.

Nothing here imports torch or anything else of budgetnet, so that definitions can be listed, compared and
hashed in milliseconds. Accuracies are in percent everywhere in budgetnet.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "SGD", "Aim", "Augmentation", "Budget", "DataFile", "DataSet", "DefinitionError", "Experiment", "Mark", "Protocol",
    "Recipe", "Reported", "StepLR", "change", "definition_hash", "derive", "difference", "flatten", "plain",
]  # fmt: skip


class DefinitionError(ValueError):
    """A definition holds a value that cannot be; the message names the field, the value and what was expected."""


def require(owner: object, name: str, holds: Callable[[Any], bool], expected: str) -> None:
    """Raise DefinitionError unless ``holds(getattr(owner, name))``; model descriptions use it as well."""
    value = getattr(owner, name)
    try:
        fine = bool(holds(value))
    except TypeError:
        fine = False
    if not fine:
        raise DefinitionError(f"{type(owner).__name__}.{name} is {value!r}; expected {expected}")


def is_count(value: Any) -> bool:
    """A whole number of at least one (True is not a number here)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_fraction(value: Any) -> bool:
    """A number in [0, 1)."""
    return is_number(value) and 0 <= value < 1


def one_of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


# --- the data set an experiment refers to -----------------------------------------------------------------------------


@dataclass(frozen=True)
class DataFile:
    """One file of a data set: its name without compression suffix, and the SHA-256 of its decompressed content."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        require(self, "sha256", lambda v: re.fullmatch(r"[0-9a-f]{64}", v) is not None, "64 lower-case hexadecimal digits")


@dataclass(frozen=True)
class DataSet:
    """A named specification of images and labels.

    ``image_shape`` is (channels, height, width); ``mean`` and ``std`` refer to pixels scaled to 0..1. ``format`` is
    ``idx`` (four files in the order train images, train labels, test images, test labels, found as
    ``<data dir>/<folder>/<file>``), ``folder`` (``<data dir>/<folder>/train/<class>/*.png`` and ``…/test/…``), or
    ``digits`` (scikit-learn's embedded 8×8 digits scaled up).
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    mean: float
    std: float
    format: str = "idx"
    folder: str = ""
    files: tuple[DataFile, ...] = ()
    mirrors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self, "name", lambda v: re.fullmatch(r"[a-z0-9][a-z0-9_-]*", v) is not None, "lower-case letters, digits, - and _")
        require(self, "image_shape", lambda v: isinstance(v, tuple) and len(v) == 3 and all(map(is_count, v)), "(channels, height, width)")
        require(self, "classes", is_count, "a whole number of at least 1")
        require(self, "mean", is_number, "a number (of pixels scaled to 0..1)")
        require(self, "std", lambda v: is_number(v) and v > 0, "a number above 0 (of pixels scaled to 0..1)")
        require(self, "format", lambda v: v in ("idx", "folder", "digits"), "'idx', 'folder' or 'digits'")
        require(self, "mirrors", lambda v: isinstance(v, tuple), "a tuple of addresses")
        require(self, "files", lambda v: isinstance(v, tuple) and all(isinstance(f, DataFile) for f in v), "a tuple of DataFile(...)")
        if self.format == "idx":
            require(self, "files", lambda v: len(v) == 4, "four files: train images, train labels, test images, test labels")


# --- the recipe -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent as in torch.optim.SGD."""

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        require(self, "lr", lambda v: is_number(v) and v > 0, "a number above 0")
        require(self, "momentum", is_fraction, "a number in [0, 1)")
        require(self, "weight_decay", lambda v: is_number(v) and v >= 0, "a number of at least 0")
        require(self, "nesterov", lambda v: isinstance(v, bool) and (self.momentum > 0 or not v), "True (with a momentum above 0) or False")


@dataclass(frozen=True)
class StepLR:
    """The learning rate is multiplied by ``gamma`` after every ``step_size`` epochs, as in torch's StepLR."""

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        require(self, "step_size", is_count, "a whole number of epochs, at least 1")
        require(self, "gamma", lambda v: is_number(v) and v > 0, "a number above 0")


@dataclass(frozen=True)
class Augmentation:
    """Random affine changes of the training images, drawn per image and uniformly.

    ``rotation`` is in degrees (±), ``shift`` a fraction of height and width (±), ``zoom`` a fraction of the size (±),
    ``fill`` the 8-bit pixel value of what comes in from outside.
    """

    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    interpolation: str = "nearest"
    fill: float = 0.0

    def __post_init__(self) -> None:
        require(self, "rotation", lambda v: is_number(v) and 0 <= v <= 180, "degrees in [0, 180]")
        require(self, "shift", is_fraction, "a fraction in [0, 1)")
        require(self, "zoom", is_fraction, "a fraction in [0, 1)")
        require(self, "interpolation", lambda v: v in ("nearest", "bilinear"), "'nearest' or 'bilinear'")
        require(self, "fill", lambda v: is_number(v) and 0 <= v <= 255, "a pixel value in [0, 255]")


@dataclass(frozen=True)
class Protocol:
    """Which images validate.

    ``test``: train on all training images, validate on the test set every epoch, as the documents do.
    ``holdout``: hold ``holdout`` training images out (which ones depends on the seed only) and validate on them; the
    test set is scored once, after the last epoch.
    """

    validation: str = "test"
    holdout: int = 0

    def __post_init__(self) -> None:
        require(self, "validation", lambda v: v in ("test", "holdout"), "'test' or 'holdout'")
        if self.validation == "holdout":
            require(self, "holdout", is_count, "the number of training images to hold out, at least 1")
        else:
            require(self, "holdout", lambda v: v == 0, "0, unless validation is 'holdout'")


@dataclass(frozen=True)
class Recipe:
    """Everything that shapes training. ``precision`` 'auto' lets the engine take what it measured fastest and safe."""

    optimizer: SGD
    batch_size: int
    epochs: int
    schedule: StepLR | None = None
    augmentation: Augmentation = Augmentation()
    loss: str = "cross_entropy"
    precision: str = "auto"
    protocol: Protocol = Protocol()

    def __post_init__(self) -> None:
        require(self, "optimizer", one_of(SGD), "an optimizer description: SGD(...)")
        require(self, "batch_size", is_count, "a whole number of at least 1")
        require(self, "epochs", is_count, "a whole number of at least 1")
        require(self, "schedule", one_of(StepLR, type(None)), "a schedule description: StepLR(...), or None")
        require(self, "augmentation", one_of(Augmentation), "Augmentation(...)")
        require(self, "loss", lambda v: v == "cross_entropy", "'cross_entropy'")
        require(self, "precision", lambda v: v in ("auto", "fp32", "bf16"), "'auto', 'fp32' or 'bf16'")
        require(self, "protocol", one_of(Protocol), "Protocol(...)")


# --- the experiment ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """``bound``: at most so many trainable parameters; ``exact``: exactly so many, where a document gives the count."""

    bound: int | None = None
    exact: int | None = None

    def __post_init__(self) -> None:
        for name in ("bound", "exact"):
            require(self, name, lambda v: v is None or is_count(v), "a whole number of at least 1, or None")
        if self.bound is not None and self.exact is not None:
            require(self, "exact", lambda v: v <= self.bound, f"a count within the bound of {self.bound}")


@dataclass(frozen=True)
class Aim:
    """The accuracy, in percent, that an experiment is judged against, and the aim in its document's words."""

    accuracy: float
    text: str = ""

    def __post_init__(self) -> None:
        require(self, "accuracy", lambda v: is_number(v) and 0 < v <= 100, "percent in (0, 100]")


@dataclass(frozen=True)
class Reported:
    """What the source reports: accuracies in percent, of a single run unless its notes say otherwise."""

    validation_accuracy: float
    train_accuracy: float | None = None

    def __post_init__(self) -> None:
        require(self, "validation_accuracy", lambda v: is_number(v) and 0 < v <= 100, "percent in (0, 100]")
        require(self, "train_accuracy", lambda v: v is None or (is_number(v) and 0 < v <= 100), "percent in (0, 100], or None")


@dataclass(frozen=True)
class Mark:
    """Says of a field (by dotted name) that its value was not given by the source.

    ``inferred``: follows from other facts of the source. ``chosen``: decided by us, by measurement or convention.
    """

    field: str
    kind: str
    why: str

    def __post_init__(self) -> None:
        require(self, "kind", lambda v: v in ("inferred", "chosen"), "'inferred' or 'chosen'")


@dataclass(frozen=True)
class Experiment:
    """One frozen definition; ``model`` is a frozen description whose ``build(image_shape, classes)`` gives the module."""

    name: str
    data_set: DataSet
    model: Any
    recipe: Recipe
    budget: Budget = Budget()
    aim: Aim | None = None
    reported: Reported | None = None
    parent: str | None = None
    twin_of: str | None = None
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
        known = flatten(self)
        for mark in self.marks:
            if mark.field not in known and not any(name.startswith(mark.field + ".") for name in known):
                raise DefinitionError(f"Experiment.marks of {self.name} names {mark.field!r}; expected one of {', '.join(known)}")


def is_model_description(value: Any) -> bool:
    params = getattr(type(value), "__dataclass_params__", None)
    return params is not None and params.frozen and callable(getattr(value, "build", None))


# --- derive, compare, hash --------------------------------------------------------------------------------------------


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
    marks of fields that did not change. Raises DefinitionError for a field that does not exist or cannot be so.
    """
    own = {"name": name, "parent": parent.name, "reported": None, "notes": "", "twin_of": None, "marks": ()}
    child = _apply(parent, {**own, **changes}, "")
    changed = difference(parent, child)
    stated = {mark.field for mark in child.marks}
    kept = [mark for mark in parent.marks if mark.field not in stated and not any(_touches(dotted, mark.field) for dotted in changed)]
    return dataclasses.replace(child, marks=(*kept, *child.marks))


def _touches(changed: str, field: str) -> bool:
    """Whether one dotted name is the other, or lies within it."""
    return f"{changed}.".startswith(f"{field}.") or f"{field}.".startswith(f"{changed}.")


def plain(value: Any) -> Any:
    """A definition as JSON-ready data; a record carries its class name as ``kind`` so that alternatives stay apart."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__, **{f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def _essence(value: Any) -> Any:
    """As ``plain``, without defaults, and with 5 and 5.0 the same."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = [f for f in dataclasses.fields(value) if f.default is dataclasses.MISSING or getattr(value, f.name) != f.default]
        return {"kind": type(value).__name__, **{f.name: _essence(getattr(value, f.name)) for f in kept}}
    if isinstance(value, tuple | list):
        return [_essence(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


COMPARED = ("data_set", "model", "recipe", "budget")


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
    data = dataclasses.replace(experiment.data_set, mirrors=(), folder=folder)
    content = {"data_set": _essence(data), "model": _essence(experiment.model), "recipe": _essence(experiment.recipe)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
