"""The statistics of the accuracy gate: verdicts over seeds, in percent.

The figure of a run is its last epoch's accuracy. All statements are at 95 % and assume that the figures of different
seeds are independent draws of roughly one normal distribution. They hold for a number of seeds fixed beforehand:
adding seeds one at a time until a verdict comes out makes wrong verdicts more frequent than 5 %.
Nothing here imports torch or anything of budgetnet.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["AimVerdict", "Comparison", "ReproductionVerdict", "aim_verdict", "compare", "prediction_interval", "reproduction_verdict"]

MIN_SEEDS = 3  # fewer seeds say too little about their spread to support a verdict
CONFIDENCE = 0.95
MORE_SEEDS_CAP = 100

# Accuracies are multiples of 0.01 % or so; this only absorbs the rounding of binary fractions (99.4 has no exact one),
# so that figures that are equal in print count as equal.
ROUNDING = 1e-9


@dataclass(frozen=True)
class AimVerdict:
    """Verdict on whether the mean accuracy of an experiment reaches its aim.

    ``word`` is met, missed, open, indicated, missing or 'no aim'; ``text`` is the word with what it needs beside it.
    ``lower`` and ``upper`` are the one-sided 95 % confidence bounds of the mean. ``more_seeds`` goes with open: about
    how many further seeds would decide if mean and sd stayed as they are; None where that is unknown or above 100.
    """

    word: str
    text: str
    n: int
    aim: float | None = None
    mean: float | None = None
    sd: float | None = None
    lower: float | None = None
    upper: float | None = None
    more_seeds: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True)
class ReproductionVerdict:
    """Verdict on whether a reported single run looks like one of ours.

    ``word`` is reproduced, exceeded, 'not reproduced', indicated, missing or 'not reported'. ``lower`` and ``upper``
    are the ends of the two-sided 95 % prediction interval of a single future run; ``difference`` is our mean minus
    the reported figure.
    """

    word: str
    text: str
    n: int
    reported: float | None = None
    mean: float | None = None
    sd: float | None = None
    lower: float | None = None
    upper: float | None = None
    difference: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """Two groups of runs side by side: ``difference`` is the second's mean minus the first's.

    ``word`` is 'first', 'second' (the one that is better), 'undecided', or 'too few seeds' (fewer than two on a side).
    ``lower`` and ``upper`` are the ends of Welch's two-sided 95 % interval of the difference.
    """

    word: str
    difference: float | None = None
    lower: float | None = None
    upper: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready data."""
        return asdict(self)


def aim_verdict(accuracies: Sequence[float], aim: float | None) -> AimVerdict:
    """The accuracy gate over the final accuracies of n seeds.

    With n >= 3: ``met`` if the one-sided 95 % lower confidence bound of the mean (Student's t, n - 1 degrees of
    freedom) is at or above the aim, ``missed`` if the upper bound is below it, else ``open``. With one or two seeds
    the word is ``indicated``. If all seeds agree (sd 0), both bounds are the mean itself. ValueError for an accuracy
    that is not finite.
    """
    n, mean, sd = _describe(accuracies)
    if aim is None:
        return AimVerdict("no aim", "no aim", n, None, mean, sd)
    if mean is None:
        return AimVerdict("missing", "missing", n, aim)
    if n < MIN_SEEDS or sd is None:
        side = "above" if mean >= aim - ROUNDING else "below"
        return AimVerdict("indicated", f"indicated: {side}", n, aim, mean, sd)
    reach = _t(CONFIDENCE, n - 1) * sd / math.sqrt(n)
    lower, upper = mean - reach, mean + reach
    if lower >= aim - ROUNDING:
        return AimVerdict("met", "met", n, aim, mean, sd, lower, upper)
    if upper < aim - ROUNDING:
        return AimVerdict("missed", "missed", n, aim, mean, sd, lower, upper)
    more, text = _more_seeds(n, abs(mean - aim), sd)
    return AimVerdict("open", text, n, aim, mean, sd, lower, upper, more)


def reproduction_verdict(accuracies: Sequence[float], reported: float | None) -> ReproductionVerdict:
    """A reported single run against the final accuracies of our n seeds.

    With n >= 3 the 95 % prediction interval of one more run is mean ± t(0.975, n - 1) · sd · sqrt(1 + 1/n).
    ``reproduced`` if the reported figure lies inside, ``exceeded`` if it lies below (ours is significantly higher),
    ``not reproduced`` if it lies above. If all our seeds agree to the last image (sd 0, which happens because
    accuracy comes in steps of one image), the interval has no width and only an equal figure counts as reproduced.
    With one or two seeds the word is ``indicated`` and the text gives direction and difference. ValueError for an
    accuracy that is not finite.
    """
    n, mean, sd = _describe(accuracies)
    if reported is None:
        return ReproductionVerdict("not reported", "not reported", n, None, mean, sd)
    if mean is None:
        return ReproductionVerdict("missing", "missing", n, reported)
    difference = mean - reported
    if n < MIN_SEEDS or sd is None:
        return ReproductionVerdict("indicated", f"indicated: {_direction(difference)}", n, reported, mean, sd, None, None, difference)
    lower, upper = _of_one_more(n, mean, sd)
    word = "exceeded" if reported < lower - ROUNDING else "not reproduced" if reported > upper + ROUNDING else "reproduced"
    return ReproductionVerdict(word, word, n, reported, mean, sd, lower, upper, difference)


def prediction_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The two-sided 95 % prediction interval of one more run; None under three values. ValueError for one that is not finite."""
    n, mean, sd = _describe(values)
    return None if mean is None or sd is None or n < MIN_SEEDS else _of_one_more(n, mean, sd)


def _of_one_more(n: int, mean: float, sd: float) -> tuple[float, float]:
    reach = _t((1 + CONFIDENCE) / 2, n - 1) * sd * math.sqrt(1 + 1 / n)
    return mean - reach, mean + reach


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Which of two groups of final accuracies has the higher mean: Welch's interval, two-sided, 95 %.

    Needs two seeds on each side. If both sides have sd 0 the interval has no width: any difference decides.
    ValueError for an accuracy that is not finite.
    """
    n1, mean1, sd1 = _describe(first)
    n2, mean2, sd2 = _describe(second)
    if mean1 is None or mean2 is None:
        return Comparison("too few seeds")
    difference = mean2 - mean1
    if sd1 is None or sd2 is None:
        return Comparison("too few seeds", difference)
    part1, part2 = sd1**2 / n1, sd2**2 / n2
    if part1 + part2 > 0:
        freedom = (part1 + part2) ** 2 / (part1**2 / (n1 - 1) + part2**2 / (n2 - 1))
        reach = _t((1 + CONFIDENCE) / 2, freedom) * math.sqrt(part1 + part2)
    else:
        reach = 0.0
    lower, upper = difference - reach, difference + reach
    word = "second" if lower > ROUNDING else "first" if upper < -ROUNDING else "undecided"
    return Comparison(word, difference, lower, upper)


def _describe(accuracies: Sequence[float]) -> tuple[int, float | None, float | None]:
    """Number, mean (None without values) and sample standard deviation (None below two) of the accuracies.

    The statistics module sums exactly: equal values have sd 0 and the order of the seeds changes no bit.
    """
    for value in accuracies:
        if not math.isfinite(value):
            raise ValueError(f"an accuracy is {value!r}; expected a finite number of percent")
    n = len(accuracies)
    return n, statistics.fmean(accuracies) if n else None, statistics.stdev(accuracies) if n > 1 else None


@functools.lru_cache(maxsize=1024)
def _t(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution."""
    from scipy.special import stdtrit  # here, because scipy takes longer to import than most commands run

    return float(stdtrit(freedom, probability))


def _more_seeds(n: int, distance: float, sd: float) -> tuple[int | None, str]:
    """Return how many seeds beyond ``n`` would bring the bound to the aim, and the words for it."""
    if distance <= ROUNDING:
        return None, "open"  # a mean on the aim itself is never decided by more of the same
    for more in range(1, MORE_SEEDS_CAP + 1):
        if _t(CONFIDENCE, n + more - 1) * sd / math.sqrt(n + more) <= distance:
            return more, f"open ({more} more seed{'s' if more > 1 else ''})"
    return None, f"open (> {MORE_SEEDS_CAP} more seeds)"


def _direction(difference: float) -> str:
    if abs(difference) <= ROUNDING:
        return "equal to the report"
    return f"{abs(difference):.2f} {'above' if difference > 0 else 'below'} the report"
