"""A search's points as tables: for a terminal, for Markdown, and as the rows that the page shows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from budgetnet.report.collect import counted
from budgetnet.report.tables import NOTHING, markdown_table, percent, spread
from budgetnet.report.text import aligned
from budgetnet.study_results import AxisRecord, PlanRecord, PointRecord, StudyRecord

WORDS = {"lr": "learning rate", "norm": "batch normalization"}
BEST = "★"


def axis_name(field: str) -> str:
    """``recipe.batch_size`` as 'batch size'."""
    last = field.rpartition(".")[2]
    return WORDS.get(last, last.replace("_", " "))


def value_word(value: Any) -> str:
    """A stored value as a reader expects it: yes and no, numbers without trailing digits, other values as they are."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def point_words(point: dict[str, Any]) -> str:
    """'batch size 64, epochs 3'."""
    return ", ".join(f"{axis_name(field)} {value_word(value)}" for field, value in point.items())


def is_numeric(axis: AxisRecord) -> bool:
    return axis.values is None or all(isinstance(value, int | float) and not isinstance(value, bool) for value in axis.values)


def is_map(study: StudyRecord) -> bool:
    """Two axes of listed numbers: what a heat map shows."""
    return len(study.axes) == 2 and all(is_numeric(axis) and axis.values is not None for axis in study.axes)


# --- what is said about a study as a whole ----------------------------------------------------------------------------


def status(study: StudyRecord) -> str:
    """'25 points, 24 complete, 1 failed'."""
    states = {"complete": len(study.complete), "failed": sum(point.state == "failed" for point in study.points), "left": study.left}
    return ", ".join([counted(len(study.points), "point"), *(f"{number} {word}" for word, number in states.items() if number)])


def best_words(study: StudyRecord) -> str:
    """The best point, with what its value is worth."""
    best = study.best_point
    if best is None:
        return "no point has a value"
    so_far = " so far" if study.left else ""
    seeds = "one seed" if len(study.seeds) == 1 else f"the mean of {len(study.seeds)} seeds"
    tried = len({repr(sorted(point.point.items())) for point in study.complete})  # TPE proposes some points several times
    among = f"; as the highest of {tried} values it is probably a little lucky" if tried > 1 else ""
    return f"best{so_far}: {point_words(best.point)}, {percent(best.value)} % on {held_out(study)} ({seeds}{among})"


def held_out(study: StudyRecord) -> str:
    return f"{study.holdout:,} held-out training images"


# --- rows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A point in words; ranks count from 1, and the reported ones only among points that the source reports."""

    values: tuple[str, ...]
    ours: str
    rank: str
    reported: str
    reported_rank: str
    note: str
    best: bool


def lines(study: StudyRecord) -> list[Line]:
    """The points in words, in the order of ``ordered``."""
    reported = {tuple(point): accuracy for point, accuracy in study.reported}
    ranks = _ranks({point.number: point.value for point in study.complete if point.value is not None})
    theirs = _ranks({tuple(point): accuracy for point, accuracy in study.reported})
    found = []
    for point in ordered(study):
        key = tuple(point.point.get(axis.field) for axis in study.axes)
        found.append(Line(
            tuple(value_word(value) for value in key) if point.point else (NOTHING,) * len(study.axes), ours(point),
            str(ranks.get(point.number, NOTHING)), percent(reported.get(key)), str(theirs.get(key, NOTHING)),
            _note(point), point.number == study.best,
        ))  # fmt: skip
    return found


def _note(point: PointRecord) -> str:
    """Return the state of a point without a value, and why it failed."""
    return "" if point.state == "complete" else ": ".join(filter(None, (point.state, point.reason)))


def ordered(study: StudyRecord) -> Sequence[PointRecord]:
    """A grid's points in its order, proposed ones with the best first and those without a value last."""
    return sorted(study.points, key=lambda p: (p.value is None, -(p.value or 0.0))) if study.sampler == "tpe" else study.points


def orderings(study: StudyRecord) -> list[str]:
    """Best first: the points by our values and by the reported ones, where the source reports more than one."""
    if len(study.reported) < 2:
        return []
    mine = sorted(study.complete, key=lambda point: -(point.value or 0.0))
    theirs = sorted(study.reported, key=lambda one: -one[1])
    fields = [axis.field for axis in study.axes]
    return [
        "ours, best first: " + " > ".join(point_words(point.point) for point in mine),
        "reported, best first: " + " > ".join(point_words(dict(zip(fields, point, strict=True))) for point, _ in theirs),
    ]


def ours(point: PointRecord) -> str:
    """The value, with the standard deviation over seeds where there are several."""
    seeds = list(point.by_seed.values())
    return spread(point.value, statistics.stdev(seeds) if point.value is not None and len(seeds) > 1 else None)


def _ranks(values: dict[Any, float]) -> dict[Any, int]:
    """1 for the highest; equal values share a rank."""
    return {key: 1 + sum(other > value for other in values.values()) for key, value in values.items()}


def columns(study: StudyRecord) -> tuple[str, ...]:
    told = ("reported %", "reported rank") if study.reported else ()
    return (*(axis_name(axis.field) for axis in study.axes), "ours %", "rank", *told, "")


def row(study: StudyRecord, line: Line) -> tuple[str, ...]:
    """The cells under ``columns``."""
    told = (line.reported, line.reported_rank) if study.reported else ()
    return (*line.values, line.ours, line.rank, *told, " ".join(filter(None, [BEST if line.best else "", line.note])))


def matrix(study: StudyRecord) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of a map: the first axis down, the second across; the best is marked."""
    down, across = (axis.values or () for axis in study.axes)
    places = placed(study)
    header = (" \\ ".join(axis_name(axis.field) for axis in study.axes), *map(value_word, across))
    return header, [(value_word(a), *(_cell(study, places.get((a, b))) for b in across)) for a in down]


def placed(study: StudyRecord) -> dict[tuple[Any, ...], PointRecord]:
    """The points of a map by their places; of several proposals of one place the best stands, and so the star does."""
    proposed = [point for point in study.points if point.point]  # TPE has trials to whose points it has not come yet
    rising = sorted(proposed, key=lambda p: (p.number == study.best, p.value is not None, p.value or 0.0))
    return {tuple(point.point[axis.field] for axis in study.axes): point for point in rising}


def _cell(study: StudyRecord, point: PointRecord | None) -> str:
    if point is None or point.value is None:
        return NOTHING if point is None else point.state
    return percent(point.value) + (f" {BEST}" if point.number == study.best else "")


# --- whole texts ------------------------------------------------------------------------------------------------------


def console_text(study: StudyRecord) -> str:
    """A study for a terminal: its table, then its best point."""
    header, body, right = _table(study)
    failed = [f"  {point_words(point.point)} failed: {point.reason}" for point in study.points if is_map(study) and point.reason]
    table = aligned([header, *body], right)
    return "\n".join([f"{study.name}: {status(study)}", table, *failed, *orderings(study), best_words(study)])


def markdown(study: StudyRecord) -> str:
    """The same as a Markdown table."""
    header, body, right = _table(study)
    table = markdown_table(header, body, [header[place] for place in right])
    return "\n".join([f"## {study.name}", "", *table, "", *(f"- {line}" for line in (*orderings(study), best_words(study))), ""])


def final_lines(plan: PlanRecord) -> list[str]:
    """The end of a plan: the chosen configuration and its only score on the test set."""
    chosen = f"{plan.name}: chosen {point_words(plan.chosen)}"
    runs = [
        f"  seed {run.seed}: test accuracy {run.test_accuracy:.2f} %, loss {run.test_loss:.4f} (validation {run.validation_accuracy:.2f} %)"
        for run in plan.final
    ]
    return [chosen, *runs, "  the test set was used for this alone, once for each seed" if plan.final else "  not trained yet"]


def _table(study: StudyRecord) -> tuple[tuple[str, ...], list[tuple[str, ...]], range]:
    """Header, rows, and the columns that are right-aligned: all of a map, all but the notes of a list."""
    if is_map(study):
        header, body = matrix(study)
        return header, body, range(len(header))
    return columns(study), [row(study, line) for line in lines(study)], range(len(columns(study)) - 1)
