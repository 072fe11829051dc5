"""The space of a study as Optuna describes it, and points from the values that it proposes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from budgetnet.definition import Choices, Point, Range, Study
from budgetnet.definition.study import stored

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def distributions(study: Study) -> dict[str, BaseDistribution]:
    """Optuna's description of the space; a grid's rows of values are categories, so that nothing else can be proposed."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for field, axis in study.space:
        if isinstance(axis, Choices) or study.sampler == "grid":
            found[field] = CategoricalDistribution([stored(value) for value in axis.values])
        elif axis.whole:
            found[field] = IntDistribution(int(axis.low), int(_last(axis)), log=axis.log, step=int(axis.step or 1))
        else:
            found[field] = FloatDistribution(axis.low, _last(axis), log=axis.log, step=axis.step)
    return found


def _last(axis: Range) -> float:
    """The highest value that is proposed; of a step that does not divide the range the last one reached, as Optuna insists.

    It counts in decimals: what is 0.1 times three as floats would not be divided by the step again.
    """
    if axis.step is None:
        return axis.high
    last = Decimal(str(axis.low)) + (axis.count - 1) * Decimal(str(axis.step))
    return int(last) if axis.whole else float(last)


def proposed(study: Study, params: dict[str, Any]) -> dict[str, Any]:
    """The stored values of a proposed point, its floats rounded."""
    return {field: _rounded(axis, params[field]) for field, axis in study.space}


def _rounded(axis: Choices | Range, value: Any) -> Any:
    """Four digits of a proposed float: more say nothing, and nobody wants to type them. Of steps all, as in ``Range.values``."""
    if isinstance(axis, Choices) or axis.whole:
        return value
    return min(max(float(f"{value:.4g}" if axis.step is None else f"{value:.12g}"), axis.low), axis.high)


def point_of(study: Study, kept: dict[str, Any]) -> Point:
    """The point with its real values, for the stored ones: a choice may be a record that a storage cannot hold."""
    return {field: _value(axis, kept[field]) for field, axis in study.space}


def _value(axis: Choices | Range, kept: Any) -> Any:
    return next((value for value in axis.values if stored(value) == kept), kept) if isinstance(axis, Choices) else kept
