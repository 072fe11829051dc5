"""The table of stability and convergence: ours over the seeds, the document's from its curve, and the change to the parent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from budgetnet.convergence import Convergence, convergence
from budgetnet.report.collect import Row
from budgetnet.report.markup import cell, table
from budgetnet.report.results_table import mean_and_sd
from budgetnet.report.tables import NOTHING, markdown_table, signed
from budgetnet.verdict import compare

INTRO = (
    "Epochs at or above the aim; standard deviation of the last five epochs, in points; first epoch within 0.1 points of the last. "
    "Mean ± standard deviation over the seeds, beside the same figure of the document’s own curve. "
    "Against the parent: the difference of the means with its 95 % interval (Welch), where both have two seeds from one machine "
    "and, for the first figure, one aim."
)


@dataclass(frozen=True)
class Measure:
    """A figure of a run's convergence: its column title, its value and its decimals."""

    title: str
    figure: Callable[[Convergence], float | None]
    digits: int


AT_AIM = Measure("epochs ≥ aim", lambda c: c.at_aim, 1)
MEASURES = (
    AT_AIM,
    Measure("sd of the last five", lambda c: c.last_sd, 3),
    Measure("first within 0.1", lambda c: c.arrived, 1),
)
COLUMNS = ("experiment", *(title for m in MEASURES for title in (m.title, "document", "against the parent")))
RIGHT = set(COLUMNS) - {"experiment"}


def of_document(row: Row) -> Convergence | None:
    """The convergence of the document's own curve, where it prints one."""
    reported = row.experiment.reported
    if reported is None or not reported.curves or not reported.curves[0].validation_accuracy:
        return None
    return convergence(
        reported.curves[0].validation_accuracy, row.experiment.aim.accuracy if row.experiment.aim else None
    )


def cells(row: Row, parent: Row | None) -> list[str]:
    """The texts of one line."""
    ours, theirs = row.convergences, of_document(row)
    before = parent.convergences if parent is not None and parent.place == row.place else []
    texts = [row.experiment.name]
    one_aim = parent is not None and parent.aim.aim == row.aim.aim
    for measure in MEASURES:
        said = measure.figure(theirs) if theirs else None
        texts.append(mean_and_sd([measure.figure(one) for one in ours], measure.digits))
        texts.append(NOTHING if said is None else f"{said:.{measure.digits}f}".removesuffix(".0"))
        compared = before if one_aim or measure is not AT_AIM else []  # epochs above 99.0 and above 99.4 are two figures
        texts.append(_change(known(compared, measure), known(ours, measure), measure.digits))
    return texts


def known(found: Sequence[Convergence], measure: Measure) -> list[float]:
    """The values of one measure, without the runs that have none."""
    return [value for value in map(measure.figure, found) if value is not None]


def _change(before: Sequence[float], after: Sequence[float], digits: int) -> str:
    found = compare(before, after)
    if found.lower is None:
        return NOTHING
    return f"{signed(found.difference, digits)} ({signed(found.lower, digits)} … {signed(found.upper, digits)})"


def lines(rows: Sequence[Row]) -> list[list[str]]:
    """A line for every experiment that has finished runs."""
    by_name = {row.experiment.name: row for row in rows}
    return [cells(row, by_name.get(row.experiment.parent or "")) for row in rows if row.results]


def markdown(rows: Sequence[Row]) -> list[str]:
    """The lines of the table in Markdown; none without results."""
    body = lines(rows)
    return [INTRO, "", *markdown_table(COLUMNS, body, RIGHT)] if body else []


def html(rows: Sequence[Row]) -> str:
    """The table with its heading for the page; nothing without results."""
    body = lines(rows)
    if not body:
        return ""
    shown = [
        "".join(cell(escape(text), "" if n == 0 else "num", head=n == 0) for n, text in enumerate(line))
        for line in body
    ]
    columns = [(escape(title), "num" if title in RIGHT else "") for title in COLUMNS]
    return f'<h2 id="convergence">Stability and convergence</h2>\n<p>{INTRO}</p>\n{table(columns, shown, "wrapped")}'
