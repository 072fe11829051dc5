"""The page's section of one experiment: verdicts with their numbers, curves, seeds, definition."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from budgetnet.definition import Mark
from budgetnet.report.collect import Row, counted
from budgetnet.report.markup import badge, cell, footnotes, page_file, phrases, picture, small, table
from budgetnet.report.tables import MARKS, count, duration, percent, spread
from budgetnet.report.words import change_phrases, definition_lines, validation_label, value_text
from budgetnet.results import Result

ON_ITS_PAGE = "its network, weights, confusion and worst errors"


def section(row: Row, curves: bytes | None, numbers: dict[Mark, int]) -> str:
    """Everything about one experiment, folded behind its name, figure and verdicts."""
    name = row.experiment.name
    drawn = picture(curves, f"loss and accuracy against epoch of {name}", "curves")
    more = f'<p><a href="{page_file(name)}">{escape(name)} in detail</a>: {ON_ITS_PAGE}</p>'
    parts = [facts(row, numbers), more, drawn, seeds(row), definition(row, numbers)]
    return f'<details class="experiment" id="{escape(name)}">\n<summary>{headline(row)}</summary>\n{"".join(parts)}\n</details>'


def headline(row: Row) -> str:
    figure = f"{spread(row.aim.mean, row.aim.sd)} %" if row.results else ""
    return f'<b>{escape(row.experiment.name)}</b><span class="figure">{figure}</span>{"".join(headline_badges(row))}'


def headline_badges(row: Row) -> list[str]:
    """The verdicts, or why there is none."""
    badges = [status_badge(row)] if not row.results else []
    if row.results and row.aim.aim is not None:
        badges.append(badge(row.aim.word, f"aim {row.aim.text}"))
    if row.results and row.reproduction.reported is not None:
        badges.append(badge(row.reproduction.word, f"report {row.reproduction.text}"))
    return badges


def status_badge(row: Row) -> str:
    """Why there are no results, in a word, and how far an unfinished run came below it."""
    word, _, rest = row.status.partition(" ")
    return badge(word) + (small(rest.strip("()")) if rest else "")


def facts(row: Row, numbers: dict[Mark, int]) -> str:
    """The list of facts: change, budget, verdicts, source, marks, notes."""
    experiment = row.experiment
    change = f"change to {escape(experiment.parent)}" if experiment.parent else "network"
    facts = [
        (change, phrases(change_phrases(experiment, row.parent, budget=True), numbers)),
        ("parameters", f"{count(row.parameters)} trainable{budget(row)}"),
        ("validation", escape(validation_label(experiment))),
        ("aim", aim(row)),
        ("reproduction", reproduction(row)),
        ("source", escape(experiment.source)),
        ("results from", results_from(row)),
        ("twin of", escape(experiment.twin_of or "")),
        ("marked", "<br>".join(f"{mark_text(mark)}{footnotes([mark], numbers)}" for mark in experiment.marks)),
        ("notes", escape(experiment.notes)),
        ("left out", "<br>".join(map(escape, row.notes))),
    ]
    return "<dl>" + "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in facts if text) + "</dl>"


def budget(row: Row) -> str:
    said = row.experiment.budget
    parts = ([f"exactly {said.exact:,} demanded"] if said.exact else []) + ([f"at most {said.bound:,}"] if said.bound else [])
    return f" ({', '.join(parts)})" if parts else ""


def mark_text(mark: Mark) -> str:
    return f"<code>{escape(mark.field)}</code>, {escape(mark.kind)}: {escape(mark.why)}"


def aim(row: Row) -> str:
    found, asked = row.aim, row.experiment.aim
    if asked is None:
        return ""
    words = f" (“{escape(asked.text)}”)" if asked.text else ""
    numbers = ""
    if found.lower is not None:
        numbers = f" {small(f'one-sided 95 % bounds of the mean: {found.lower:.3f} and {found.upper:.3f} %')}"
    announced = small(f"the best epoch reaches it in {row.announcing} of {counted(len(row.results), 'run')}") if row.results else ""
    return f"{asked.accuracy:.2f} %{words} {badge(found.word, found.text)}{numbers} {announced}"


def reproduction(row: Row) -> str:
    found = row.reproduction
    if found.reported is None:
        return ""
    numbers = ""
    if found.lower is not None:
        numbers = f" {small(f'95 % of single runs are expected in {found.lower:.3f} … {found.upper:.3f} %')}"
    best = row.best_reproduction
    more = f"<br>best epoch {best.reported:.2f} % {badge(best.word, best.text)}" if best.reported is not None else ""
    return f"last epoch {found.reported:.2f} % {badge(found.word, found.text)}{numbers}{more}"


def results_from(row: Row) -> str:
    if row.place is None:
        return ""
    shown = row.results or row.partial or row.stale
    environment = shown[0].environment if shown else {}
    stamp = ", ".join(f"{key} {value}" for key, value in environment.items() if isinstance(value, str | int | float) and value != "")
    return f"{escape(row.place)}: {escape(row.setup or row.status)}{'<br>' + small(stamp) if stamp else ''}"


# --- seeds and definition ---------------------------------------------------------------------------------------------


def seeds(row: Row) -> str:
    """A line for every run: those that count, then unfinished and stale ones."""
    kinds = ((row.results, "counted"), (row.partial, "partial"), (row.stale, "stale"))
    lines = [seed(result, word, row) for results, word in kinds for result in results]
    if not lines:
        return ""
    test = any(result.test_accuracy is not None for results, _ in kinds for result in results)
    columns = [("seed", "num"), ("last epoch %", "num"), ("best epoch %", "num"), ("training %", "num"), ("time (s)", "num"), ("", "")]
    if test:
        columns.insert(3, ("test, once %", "num"))
    return table(columns, lines, "narrow")


def seed(result: Result, word: str, row: Row) -> str:
    unfinished = f"{len(result.epochs)} of {result.epochs_planned} epochs"
    said = "" if word == "counted" else badge(word, f"{word}, {unfinished}" if not result.finished else word)
    cells = [
        cell(str(result.seed), "num"), cell(percent(result.last.validation_accuracy), "num"),
        cell(f"{percent(result.best.validation_accuracy)}{small(f'epoch {result.best.epoch}')}", "num"),
        cell(percent(result.last.train_accuracy), "num"), cell(duration(result.seconds), "num"), cell(said),
    ]  # fmt: skip
    if any(other.test_accuracy is not None for other in (*row.results, *row.partial, *row.stale)):
        cells.insert(3, cell(percent(result.test_accuracy), "num"))
    return "".join(cells)


def definition(row: Row, numbers: dict[Mark, int], folded: bool = True) -> str:
    """The resolved definition with the marks beside their values."""
    lines = [
        cell(f"<code>{escape(dotted)}</code>") + cell(escape(value).replace("\n", "<br>") + footnotes(marks, numbers))
        for dotted, value, marks in definition_lines(row.experiment)
    ]
    shape = value_text(row.experiment.data_set.image_shape)
    summary = f"the whole definition (images {shape.replace('-', '×')}, {row.experiment.data_set.classes} classes)"
    listed = table([("field", ""), ("value", "")], lines, "narrow")
    return f'<details class="inner"{"" if folded else " open"}><summary>{escape(summary)}</summary>{listed}</details>'


def mark_part(numbers: Mapping[Mark, int]) -> str:
    """The reasons of marked values."""
    if not numbers:
        return ""
    items = "".join(f'<li id="mark-{number}">†{number} {mark_text(mark)}</li>' for mark, number in numbers.items())
    return f'<h2 id="marks">{MARKS}</h2>\n<ol class="marks">{items}</ol>'
