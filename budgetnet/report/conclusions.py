"""The table of the documents' conclusions: what our runs say of each, with intervals, or that they cannot say yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from budgetnet.convergence import LAST
from budgetnet.definition import Conclusion
from budgetnet.definition.study import stored
from budgetnet.diagnostics.record import Diagnostics, Weights, confused_pairs
from budgetnet.report.collect import Row, counted
from budgetnet.report.markup import badge, cell, table
from budgetnet.report.sweep_tables import value_word
from budgetnet.report.tables import NOTHING, markdown_table, signed
from budgetnet.study_results import PointRecord, StudyRecord
from budgetnet.verdict import ROUNDING, compare

INTRO = (
    "Sentences in our words. A comparison holds if the 95 % interval of every difference (Welch) is on the claimed side, "
    "fails if one is wholly on the other, and is open otherwise. It needs two seeds on each side, from one machine. "
    "What is read from the closer look at a single run, or from a search, is only indicated."
)
COLUMNS = ("document", "conclusion", "our runs", "figures")
QUARTILES = 1.349  # distance between the quartiles of a normal distribution, in standard deviations
FEWEST = 100  # weights of a tensor whose shape is worth a look
DIGITS = {"accuracy": 2, "loss gap": 4, "last sd": 3}


@dataclass(frozen=True)
class Answer:
    """``word``: holds, 'does not hold', open, indicated, 'not indicated' or 'cannot say yet'; ``figures`` explains it."""

    word: str
    figures: str


Answered = tuple[Conclusion, Answer]


def answers(conclusions: Sequence[Conclusion], rows: Sequence[Row], studies: Sequence[StudyRecord] = ()) -> list[Answered]:
    """Judge each conclusion by the rows and, for searches, by the first record of the study."""
    by_name = {row.experiment.name: row for row in rows}
    searched = {study.name: study for study in reversed(studies)}

    def answer(one: Conclusion) -> Answer:
        if one.measure in DIGITS:
            return _compared(one, by_name)
        return _searched(one, searched) if one.measure == "search" else _looked_at(one, by_name)

    return [(one, answer(one)) for one in conclusions]


# --- comparisons of runs ----------------------------------------------------------------------------------------------


def figures_of(row: Row, measure: str) -> list[float]:
    """The measure of every run that counts."""
    if measure == "accuracy":
        return row.accuracies
    if measure == "last sd":
        return [one.last_sd for one in row.convergences if one.last_sd is not None]
    return [abs(result.last.validation_loss - result.last.train_loss) for result in row.results]


def _compared(conclusion: Conclusion, rows: Mapping[str, Row]) -> Answer:
    missing = [
        name for name in (*conclusion.first, *conclusion.second) if name not in rows or len(rows[name].results) < 2
    ]
    if missing:
        return Answer("cannot say yet", f"fewer than two seeds of {', '.join(missing)}")
    pairs = [(rows[a], rows[b]) for a, b in _pairs(conclusion)]
    apart = [f"{a.experiment.name} and {b.experiment.name}" for a, b in pairs if a.place != b.place]
    if apart:
        return Answer("cannot say yet", f"results of two machines: {', '.join(apart)}")
    same = [f"{a.experiment.name} and {b.experiment.name}" for a, b in pairs if a.experiment.runs_name == b.experiment.runs_name]
    if same:
        return Answer("cannot say yet", f"the same runs: {', '.join(same)}")
    words, said, digits = [], [], DIGITS[conclusion.measure]
    for a, b in pairs:
        found = compare(figures_of(b, conclusion.measure), figures_of(a, conclusion.measure))
        if found.lower is None or found.upper is None:
            return Answer("cannot say yet", f"runs of fewer than {LAST} epochs of {a.experiment.name} or {b.experiment.name}")
        words.append(_side(conclusion, found.lower, found.upper))
        interval = f"{signed(found.lower, digits)} … {signed(found.upper, digits)}"
        said.append(f"{a.experiment.name} − {b.experiment.name}: {signed(found.difference, digits)} ({interval})")
    word = "does not hold" if "against" in words else "holds" if set(words) == {"for"} else "open"
    return Answer(word, "; ".join(said))


def _pairs(conclusion: Conclusion) -> list[tuple[str, str]]:
    """Each of the first with each of the second; where the second are the first's own counterparts, only with that one."""
    counterparts = [(a, b) for a in conclusion.first for b in conclusion.second if a.startswith(f"{b}-")]
    if len(counterparts) == len(conclusion.first) == len(conclusion.second):
        return counterparts
    return [(a, b) for a in conclusion.first for b in conclusion.second]


def _side(conclusion: Conclusion, lower: float, upper: float) -> str:
    """'for', 'against' or 'open': where the interval of first minus second lies."""
    if conclusion.claim == "within":
        margin = conclusion.margin + ROUNDING
        outside = lower > margin or upper < -margin
        return "against" if outside else "for" if -margin <= lower and upper <= margin else "open"
    if conclusion.claim == "lower":
        lower, upper = -upper, -lower
    return "for" if lower > ROUNDING else "against" if upper < -ROUNDING else "open"


# --- the closer look at one run ---------------------------------------------------------------------------------------


def _looked_at(conclusion: Conclusion, rows: Mapping[str, Row]) -> Answer:
    records = {name: rows[name].diagnostics for name in conclusion.first if name in rows}
    found = [record for record in records.values() if record is not None]
    missing = [name for name in conclusion.first if records.get(name) is None]
    if missing:
        return Answer("cannot say yet", f"no run was looked at: budgetnet inspect {missing[0]}")
    if conclusion.measure == "confused":
        return _most_confused(conclusion, found[0])
    fits = around_zero if conclusion.measure == "weights around 0" else normal
    counts = [_counted(record, fits) for record in found]
    good, total = (sum(numbers) for numbers in zip(*counts, strict=True))
    if not total:
        return Answer("cannot say yet", f"no tensor of {FEWEST} weights or more")
    said = "; ".join(f"{record.experiment}: {a} of {b} tensors" for record, (a, b) in zip(found, counts, strict=True))
    return Answer("indicated" if good > total / 2 else "not indicated", said)


def _most_confused(conclusion: Conclusion, record: Diagnostics) -> Answer:
    pairs = confused_pairs(record.confusion)
    if not pairs:
        return Answer("not indicated", "no two classes are confused")
    most = pairs[0]
    said = f"seed {record.seed}: {record.name(most.first)} and {record.name(most.second)}, {most.together} of {record.error_count} errors"
    return Answer("indicated" if (most.first, most.second) == conclusion.point else "not indicated", said)


def _counted(record: Diagnostics, fits: Callable[[Weights], bool]) -> tuple[int, int]:
    """Return how many of the record's weight tensors fit, and how many there are."""
    tensors = [one for one in record.weights if one.count >= FEWEST and len(one.shape) > 1]
    return sum(map(fits, tensors)), len(tensors)


def around_zero(weights: Weights) -> bool:
    """Tell whether the mean lies within a quarter of a standard deviation of 0."""
    return abs(weights.mean) <= 0.25 * weights.sd


def normal(weights: Weights) -> bool:
    """Tell whether the quartiles are as far apart as those of a normal distribution of the same deviation, to a tenth."""
    spread = (weights.upper_quartile - weights.lower_quartile) / QUARTILES
    return weights.sd > 0 and abs(spread / weights.sd - 1) <= 0.1


# --- searches ---------------------------------------------------------------------------------------------------------


def _searched(conclusion: Conclusion, studies: Mapping[str, StudyRecord]) -> Answer:
    (name,) = conclusion.first
    study = studies.get(name)
    if study is None or study.best_point is None or study.left:
        return Answer("cannot say yet", f"the search is not finished: budgetnet sweep {name}")
    best = study.best_point
    values = tuple(map(stored, conclusion.point))
    claimed = next((p for p in study.complete if tuple(p.point.get(axis.field) for axis in study.axes) == values), None)
    beside = f"; the document's point: {_valued(claimed)}" if claimed is not None and claimed is not best else ""
    said = f"best: {_valued(best)}{beside}; {counted(len(study.seeds), 'seed')} a point"
    return Answer("indicated" if claimed is not None and claimed.value == best.value else "not indicated", said)


def _valued(point: PointRecord) -> str:
    """'batch_size 32, epochs 4: 98.49 %'."""
    values = ", ".join(f"{field.rpartition('.')[2]} {value_word(value)}" for field, value in point.point.items())
    return f"{values}: {point.value:.2f} %"


# --- the table --------------------------------------------------------------------------------------------------------


def markdown(answered: Sequence[Answered]) -> list[str]:
    """The lines of the table in Markdown; none without conclusions."""
    body = [[one.document, one.sentence, answer.word, answer.figures or NOTHING] for one, answer in answered]
    return [INTRO, "", *markdown_table(COLUMNS, body)] if body else []


def html(answered: Sequence[Answered]) -> str:
    """The table with its heading for the page; nothing without conclusions."""
    if not answered:
        return ""
    body = [
        cell(escape(one.document), head=True)
        + cell(escape(one.sentence))
        + cell(badge(answer.word), "words")
        + cell(escape(answer.figures))
        for one, answer in answered
    ]
    columns = [(escape(title), "") for title in COLUMNS]
    return f'<h2 id="conclusions">The documents’ conclusions</h2>\n<p>{INTRO}</p>\n{table(columns, body)}'
