"""Checks that a definition makes when it is built; a failure names the field, the value and what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


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
