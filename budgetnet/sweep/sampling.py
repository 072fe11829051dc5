"""Which point comes next: a pure function of the study, the trials so far and a seed, so that a search can be repeated."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from budgetnet.definition import Choices, Point, Range, Study
from budgetnet.definition.study import stored

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

SEEDS_APART = 1_000_003


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


def propose(study: Study, history: Iterable[FrozenTrial], number: int, seed: int = 0) -> dict[str, Any]:
    """The stored values of the next point of a TPE search.

    ``history`` are the trials so far, finished or running, in the order of their numbers; ``number`` counts the proposals. The
    sampler is seeded for each proposal alone: what a sweep that was interrupted proposes next depends on its trials only.
    """
    import optuna

    scratch = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=(seed * SEEDS_APART + number) % 2**32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        scratch.add_trials([trial for trial in history if trial.params])
        params = scratch.ask(distributions(study)).params
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
