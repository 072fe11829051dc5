"""Checks that a definition makes when it is built; a failure names the field, the value and what was expected."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any


class DefinitionError(ValueError):
    """A definition holds a value that cannot be; the message names the field, the value and what was expected."""


def require(owner: object, name: str, holds: Callable[[Any], bool], expected: str) -> None:
    """Raise DefinitionError unless ``holds(getattr(owner, name))``; model descriptions use it as well."""
    value = getattr(owner, name)
    try:
        fine = bool(holds(value))
    except (TypeError, ValueError, OverflowError):  # of an array, which is neither true nor false, or a number of 400 digits
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


def is_percent(value: Any) -> bool:
    """An accuracy in percent; 1 and less is a fraction that was not multiplied by 100."""
    return is_number(value) and 1 < value <= 100


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def one_of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def require_plain(value: Any, name: str) -> None:
    """Raise DefinitionError for a value that JSON cannot hold, at whatever depth of ``value``; ``name`` is its dotted name.

    A definition is hashed, stored with its results and compared: a class, a function or NaN has no value that stays the same.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            require_plain(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, tuple | list):
        for place, item in enumerate(value):
            require_plain(item, f"{name}[{place}]")
    elif isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        for key, item in value.items():
            require_plain(item, f"{name}[{key!r}]")
    elif not (value is None or isinstance(value, bool | int | str) or is_number(value)):
        text = repr(value)
        raise DefinitionError(
            f"{name} is {text if len(text) <= 80 else f'{text[:80]}…'}; expected a finite number, a text, True, False, None, "
            f"or tuples and dataclasses of these: {_plain_instead(value)}"
        )


def _plain_instead(value: Any) -> str:
    """Return how to write the value as plain data."""
    if isinstance(value, float):
        return "use None where there is no number"
    if isinstance(value, numbers.Integral):
        return f"write int({value})"
    if isinstance(value, type) or callable(value):
        return "give its name as text, and look it up in build()"
    if isinstance(value, set | frozenset):
        return "write tuple(sorted(…))"
    return "convert it with int(…), float(…), str(…) or tuple(…)"
