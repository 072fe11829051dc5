"""The table of experiments as records, CSV, Markdown and console text, and the lines printed after a run."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Container, Mapping, Sequence
from typing import Any

from budgetnet.definition import Experiment, Mark, definition_hash
from budgetnet.report.collect import Pair, Row, counted, mean
from budgetnet.report.text import aligned
from budgetnet.report.words import change_phrases, inherited_marks, number_marks
from budgetnet.results import Result
from budgetnet.verdict import ROUNDING, ReproductionVerdict, aim_verdict, reproduction_verdict

CSV_COLUMNS = (
    "name", "parameters", "bound", "aim", "reported", "n", "mean", "sd", "best_mean", "aim_verdict", "reproduction_verdict",
    "seconds", "device", "status", "source", "results_from", "change",
    "best_reported", "best_reproduction_verdict", "announcing", "epochs_at_aim", "last_sd", "arrived",
)  # fmt: skip

NOTHING = "–"
MARKS = "† Values that the source does not give, or gives twice"


def percent(value: float | None) -> str:
    """An accuracy with two decimals; a dash for none."""
    return NOTHING if value is None else f"{value:.2f}"


def count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """Seconds, with a decimal below a hundred; a dash for none."""
    return NOTHING if seconds is None else f"{seconds:.1f}" if seconds < 100 else f"{seconds:,.0f}"


def spread(mean: float | None, sd: float | None) -> str:
    """``99.42 ± 0.05``; the mean alone where there is no sd."""
    return percent(mean) if mean is None or sd is None else f"{mean:.2f} ± {sd:.2f}"


def signed(value: float | None, digits: int = 2) -> str:
    """A difference with its sign; a dash for none."""
    return NOTHING if value is None else f"{value:+.{digits}f}".replace("-", "−")


def change_text(row: Row, numbers: dict[Mark, int] | None = None) -> str:
    """The difference to the parent in one line; with ``numbers``, a dagger and footnote number behind marked values."""
    return ", ".join(phrase.text + daggers(phrase.marks, numbers) for phrase in change_phrases(row.experiment, row.parent))


def daggers(marks: Sequence[Mark], numbers: dict[Mark, int] | None) -> str:
    return "†" + ",".join(str(numbers[mark]) for mark in marks) if marks and numbers else ""


# --- records and CSV --------------------------------------------------------------------------------------------------


def record(row: Row) -> dict[str, Any]:
    """A row as JSON-ready data: the CSV's columns with full precision, both verdicts' numbers, notes and seeds."""
    experiment = row.experiment
    return {
        "name": experiment.name,
        "parameters": row.parameters,
        "bound": experiment.budget.bound,
        "aim": experiment.aim.accuracy if experiment.aim else None,
        "reported": experiment.reported.validation_accuracy if experiment.reported else None,
        "n": len(row.results),
        "mean": row.aim.mean,
        "sd": row.aim.sd,
        "best_mean": row.best_mean,
        "aim_verdict": row.aim.text,
        "reproduction_verdict": row.reproduction.text,
        "best_reported": experiment.reported.best_validation_accuracy if experiment.reported else None,
        "best_reproduction_verdict": row.best_reproduction.text,
        "announcing": row.announcing,
        "seconds": row.seconds,
        "device": row.setup,
        "status": row.status,
        "source": experiment.source,
        "results_from": row.place,
        "change": change_text(row),
        "twin_of": experiment.twin_of,
        "seeds": [result.seed for result in row.results],
        "accuracies": row.accuracies,
        "aim_numbers": row.aim.as_dict(),
        "reproduction_numbers": row.reproduction.as_dict(),
        "best_reproduction_numbers": row.best_reproduction.as_dict(),
        "epochs_at_aim": mean([one.at_aim for one in row.convergences if one.at_aim is not None]),
        "last_sd": mean([one.last_sd for one in row.convergences if one.last_sd is not None]),
        "arrived": mean([one.arrived for one in row.convergences]),
        "notes": list(row.notes),
    }


def csv_text(rows: Sequence[Row]) -> str:
    """The table as CSV with a header; numbers in full precision, empty fields for what is not known."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if value is None else value for key, value in record(row).items()})
    return stream.getvalue()


# --- Markdown ---------------------------------------------------------------------------------------------------------

MARKDOWN_COLUMNS = (
    "experiment", "change", "parameters", "bound", "aim %", "reported %", "ours % (last epoch)", "best epoch %", "aim", "reproduction",
    "s/run", "results", "source",
)  # fmt: skip
RIGHT = {"parameters", "bound", "aim %", "reported %", "ours % (last epoch)", "best epoch %", "s/run"}


def markdown(rows: Sequence[Row], pairs: Sequence[Pair], parts: Mapping[str, Sequence[str]] | None = None) -> str:
    """The tables of experiments and twins as Markdown, the lines of further ``parts`` by their title, then marks and notes."""
    numbers = number_marks(row.experiment for row in rows)
    lines = ["# Results", "", "Accuracies are in percent: mean ± standard deviation over seeds, last epoch."]
    lines += ["The reported figure is the document's last epoch as well. No aim is judged by the best epoch.", ""]
    lines += markdown_table(MARKDOWN_COLUMNS, [_markdown_cells(row, numbers) for row in rows])
    if pairs:
        columns = ("step", "twin", "parameters", "twin's", "step %", "twin %", "difference", "95 % interval", "which is better")
        lines += ["", "## Twins", "", *markdown_table(columns, [pair_cells(pair) for pair in pairs])]
    for title, part in (parts or {}).items():
        lines += ["", f"## {title}", "", *part] if part else []
    if numbers:
        lines += ["", f"## {MARKS.removeprefix('† ')}", ""]
        lines += [f"- †{number} `{mark.field}`, {mark.kind}: {mark.why}" for mark, number in numbers.items()]
    notes = [f"- {row.experiment.name}: {note}" for row in rows for note in row.notes]
    return "\n".join([*lines, *(["", "## Notes", "", *notes] if notes else []), ""])


README_COLUMNS = (
    "experiment", "parameters", "ours %, last epoch", "document's", "reproduction", "ours %, best epoch", "document's", "aim %", "verdict",
    "best epoch reaches the aim",
)  # fmt: skip


def readme_table(rows: Sequence[Row]) -> str:
    """The few columns that a README has room for, of the experiments that have results."""
    body = [
        [
            row.experiment.name, count(row.parameters),
            f"{spread(row.aim.mean, row.aim.sd)} ({row.status})", percent(row.reproduction.reported), row.reproduction.text,
            spread(row.best_reproduction.mean, row.best_reproduction.sd), percent(row.best_reproduction.reported),
            percent(row.aim.aim), row.aim.text, NOTHING if row.announcing is None else f"{row.announcing} of {len(row.results)}",
        ] for row in rows if row.results
    ]  # fmt: skip
    return "\n".join(markdown_table(README_COLUMNS, body, {"parameters", "document's", "aim %"}))


def _markdown_cells(row: Row, numbers: dict[Mark, int]) -> list[str]:
    experiment = row.experiment
    inherited = daggers(inherited_marks(experiment, change_phrases(experiment, row.parent)), numbers)
    seeds = f" ({row.status})" if row.results else ""
    where = f"{row.place}: {row.setup}" if row.setup else NOTHING
    return [
        experiment.name + inherited, change_text(row, numbers), count(row.parameters), count(experiment.budget.bound),
        percent(row.aim.aim), percent(row.reproduction.reported), spread(row.aim.mean, row.aim.sd) + seeds if row.results else row.status,
        percent(row.best_mean), row.aim.text, row.reproduction.text, duration(row.seconds), where, experiment.source or NOTHING,
    ]  # fmt: skip


def pair_cells(pair: Pair) -> list[str]:
    """The cells of the twin table: names, parameters, accuracies, difference, interval, which is better."""
    found = pair.comparison
    judged = pair.one_place
    interval = f"{signed(found.lower, 3)} … {signed(found.upper, 3)}" if judged and found.lower is not None else NOTHING
    return [
        pair.step.experiment.name, pair.twin.experiment.name, count(pair.step.parameters), count(pair.twin.parameters),
        spread(pair.step.aim.mean, pair.step.aim.sd), spread(pair.twin.aim.mean, pair.twin.aim.sd),
        signed(found.difference) if judged else NOTHING, interval, pair.text,
    ]  # fmt: skip


def markdown_table(columns: Sequence[str], body: Sequence[Sequence[str]], right: Container[str] = RIGHT) -> list[str]:
    """The lines of a Markdown table; the columns named in ``right`` are right-aligned."""
    rule = ["---:" if column in right else "---" for column in columns]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in (columns, rule, *body)]


# --- console ----------------------------------------------------------------------------------------------------------

CONSOLE_COLUMNS = ("experiment", "parameters", "aim %", "reported %", "ours %", "best %", "aim", "reproduction", "s/run", "results")


def console_text(rows: Sequence[Row]) -> str:
    """The table as aligned text for a terminal, with the rows' notes below."""
    table = aligned([CONSOLE_COLUMNS, *map(_console_cells, rows)], right={1, 2, 3, 4, 5, 8}, ruled=False)
    notes = [f"{row.experiment.name}: {note}" for row in rows for note in row.notes]
    return "\n".join([table, *(["", *notes] if notes else [])]) + "\n"


def _console_cells(row: Row) -> list[str]:
    where = f"{row.status}, {row.place}" if row.place else row.status
    return [
        row.experiment.name, count(row.parameters), percent(row.aim.aim), percent(row.reproduction.reported),
        spread(row.aim.mean, row.aim.sd), percent(row.best_mean), row.aim.text, row.reproduction.text, duration(row.seconds), where,
    ]  # fmt: skip


def verdict_lines(experiment: Experiment, results: Sequence[Result]) -> list[str]:
    """The verdicts of one experiment over its results, a line each; stale and unfinished runs are left out."""
    wanted = definition_hash(experiment)
    judged = [result for result in results if result.finished and result.definition_hash == wanted]
    if not judged:
        return [f"{experiment.name}: no finished run of this definition"]
    reported, asked = experiment.reported, experiment.aim
    bests = [result.best.validation_accuracy for result in judged]
    accuracies = [result.last.validation_accuracy for result in judged]
    aim = aim_verdict(accuracies, asked.accuracy if asked else None)
    figure = f"{spread(aim.mean, aim.sd)} % over {counted(len(judged), 'seed')}, last epoch"
    lines = [f"{experiment.name}: {figure} (best epoch {statistics.fmean(bests):.2f} %, not judged)"]
    if asked is not None:
        bounds = f"; one-sided 95 % bounds of the mean {aim.lower:.3f} and {aim.upper:.3f} %" if aim.lower is not None else ""
        lines.append(f"  aim {asked.accuracy:.2f} %: {aim.text}{bounds}")
        reached = sum(best >= asked.accuracy - ROUNDING for best in bests)
        lines.append(f"  the best epoch reaches the aim in {reached} of {counted(len(judged), 'run')}")
    if reported is not None:
        lines.append(_reported_line("last epoch", reproduction_verdict(accuracies, reported.validation_accuracy)))
        if reported.best_validation_accuracy is not None:
            lines.append(_reported_line("best epoch", reproduction_verdict(bests, reported.best_validation_accuracy)))
    return lines


def _reported_line(which: str, found: ReproductionVerdict) -> str:
    interval = f"; 95 % of single runs are expected in {found.lower:.3f} … {found.upper:.3f} %" if found.lower is not None else ""
    return f"  reported {which} {percent(found.reported)} %: {found.text}{interval}"
