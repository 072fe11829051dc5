"""Results of a course of load: counts by kind and outcome, rates, latencies, memory; and whether the server sustained it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.serving_judge import Outcome
from benchmarks.serving_open_loop import Course
from budgetnet.report.text import aligned

SUSTAINED = 0.25  # seconds within which 99 % are answered
MIB = 2**20

Figures = dict[str, Any]


def sustains(course: Course) -> bool:
    """Nothing is refused but what is malformed, and 99 % are answered in time."""
    found = _latencies(course)
    refused = any(fate.outcome not in (Outcome.RIGHT, Outcome.REFUSED, Outcome.GONE) for fate in course.fates)
    return not refused and bool(found) and float(np.percentile(found, 99)) <= SUSTAINED


def figures(course: Course, memory: Sequence[int], seconds: float) -> Figures:
    """JSON-ready. The growth of the memory is from the median of the first sixth of its samples to the largest."""
    counts: dict[str, Counter[str]] = {}
    for fate in course.fates:
        counts.setdefault(fate.kind, Counter())[fate.outcome.value] += 1
    found = _latencies(course) or [float("nan")]
    part = max(1, len(memory) // 6)
    first, last = statistics.median(memory[:part] or [1]), statistics.median(memory[-part:] or [1])
    most = max(memory, default=1)
    return {
        "requests": len(course.fates), "right_per_second": sum(fate.outcome == Outcome.RIGHT for fate in course.fates) / seconds,
        "p50_ms": 1e3 * float(np.percentile(found, 50)), "p99_ms": 1e3 * float(np.percentile(found, 99)), "counts": counts,
        "told": sorted({fate.told for fate in course.fates if fate.told})[:20], "memory_mib": [size / MIB for size in memory],
        "first_mib": first / MIB, "last_mib": last / MIB, "most_mib": most / MIB, "growth_percent": 100 * (most / first - 1),
        "client_late_ms": 1e3 * course.client_late, "connections": course.connections,
    }  # fmt: skip


def _latencies(course: Course) -> list[float]:
    """Seconds from when a right answer's request was due, of clients that are not slow."""
    return [fate.ended - fate.due for fate in course.fates if fate.outcome == Outcome.RIGHT and "slow" not in fate.kind]


def total(found: Mapping[str, Any], *outcomes: Outcome) -> int:
    """Of all kinds of requests."""
    return sum(own[outcome.value] for own in found["counts"].values() for outcome in outcomes)


def table(found: Mapping[str, Any]) -> str:
    there = [outcome for outcome in Outcome if total(found, outcome)]
    rows: list[tuple[Any, ...]] = [("", *(outcome.value for outcome in there))]
    rows += [(kind, *(own[outcome.value] for outcome in there)) for kind, own in sorted(found["counts"].items())]
    rows.append(("all", *(total(found, outcome) for outcome in there)))
    return aligned(rows, right=set(range(1, len(there) + 1)))
