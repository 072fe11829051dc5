"""The page of the searches: one HTML file that opens from disk and needs nothing else."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

from budgetnet import __version__
from budgetnet.report.markup import badge, cell, picture, table
from budgetnet.report.sweep_tables import (
    BEST,
    axis_name,
    best_words,
    columns,
    is_map,
    lines,
    matrix,
    orderings,
    point_words,
    row,
    status,
    value_word,
)  # fmt: skip
from budgetnet.report.tables import duration, percent
from budgetnet.study_results import PlanRecord, StudyRecord

TITLE = "Searches"
INTRO = (
    "A search trains one network for every point and keeps the one that does best on images held out from training. The value of a point "
    "is the accuracy of its last epoch. No point is scored on the test set: a plan uses it once, at its end, for the "
    "configuration it chose."
)


def render(studies: Sequence[StudyRecord], plans: Sequence[PlanRecord], pictures: Mapping[str, bytes], notes: Sequence[str]) -> str:
    """The page as HTML. ``pictures`` are PNGs by study, any of which may be absent; ``notes`` say what could not be shown."""
    css = (resources.files("budgetnet.report") / "page.css").read_text(encoding="utf-8")
    planned = {name for plan in plans for name in plan.studies}
    by_name = {study.name: study for study in studies}
    parts = []
    for plan in plans:
        parts += [plan_part(plan), *(study_part(by_name[name], pictures.get(name)) for name in plan.studies if name in by_name)]
    parts += [study_part(study, pictures.get(study.name)) for study in studies if study.name not in planned]
    body = "\n".join(parts) or "<p>There are no searches yet: <code>budgetnet sweep</code> lists what there is to search.</p>"
    left_out = "".join(f"<li>{escape(note)}</li>" for note in notes)
    left_out = f'<h2 id="notes">Left out</h2>\n<ul class="notes">{left_out}</ul>' if notes else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>budgetnet: searches</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>{TITLE}</h1>
<p>{escape(INTRO)}</p>
</header>
<main>
{body}
{left_out}
</main>
<footer><p><small>Written {datetime.date.today().isoformat()} by budgetnet {__version__} from stored results.</small></p></footer>
</body>
</html>
"""


def plan_part(plan: PlanRecord) -> str:
    """A plan's end: what was chosen and what the test set said of it."""
    facts = [
        ("studies", ", ".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in plan.studies)),
        ("chosen", escape(point_words(plan.chosen))), ("source", escape(plan.source)), ("notes", escape(plan.notes)),
        ("trained on", escape(place(plan.environment))),
    ]  # fmt: skip
    rows = [
        cell(str(run.seed), "num") + cell(percent(run.validation_accuracy), "num") + cell(f"<b>{percent(run.test_accuracy)}</b>", "num")
        + cell(f"{run.test_loss:.4f}", "num") + cell(duration(run.seconds), "num") for run in plan.final
    ]  # fmt: skip
    titles = [(title, "num") for title in ("seed", "held-out&nbsp;%", "test&nbsp;%", "test loss", "time (s)")]
    return f'<h2 id="plan-{escape(plan.name)}">{escape(plan.name)}: the chosen configuration</h2>\n{definitions(facts)}\n' + table(
        titles, rows, "narrow"
    )


def study_part(study: StudyRecord, png: bytes | None) -> str:
    """A study: its best point, its picture, its points, its circumstances."""
    facts = [
        ("searched", ", ".join(f"<code>{escape(axis.field)}</code>" for axis in study.axes)),
        ("of", escape(study.base + (f", at {point_words(study.fixed)}" if study.fixed else ""))),
        ("sampler", escape(f"{study.sampler.upper() if study.sampler == 'tpe' else study.sampler}: {status(study)}")),
        ("source", escape(study.source)), ("notes", escape(study.notes)),
        ("ordering", "<br>".join(map(escape, orderings(study)))), ("trained on", escape(place(study.environment))),
    ]  # fmt: skip
    unfinished = f" {badge('partial', f'{study.left} left')}" if study.left else ""
    drawn = picture(png, f"accuracy over {' and '.join(axis_name(axis.field) for axis in study.axes)}", "curves")
    return (
        f'<h2 id="{escape(study.name)}">{escape(study.name)}{unfinished}</h2>\n<p>{escape(sentence(best_words(study)))}</p>\n'
        f"{drawn}\n{points(study)}\n{definitions(facts)}"
    )


def points(study: StudyRecord) -> str:
    """The table of points: a map as a map, anything else a line each."""
    if is_map(study):
        header, body = matrix(study)
        rows = [cell(escape(cells[0]), head=True) + "".join(cell(marked(text), "num") for text in cells[1:]) for cells in body]
        failed = [f"<li>{escape(point_words(point.point))}: {escape(point.reason)}</li>" for point in study.points if point.reason]
        titles = [(escape(header[0]), ""), *((escape(title), "num") for title in header[1:])]
        return table(titles, rows, "narrow") + (f'<ul class="notes">{"".join(failed)}</ul>' if failed else "")
    titles = [(escape(title), "num" if index < len(columns(study)) - 1 else "") for index, title in enumerate(columns(study))]
    rows = []
    for line in lines(study):
        *numbers, note = row(study, line)
        rows.append("".join(cell(marked(text), "num") for text in numbers) + cell(marked(note), "change"))
    return table(titles, rows, "narrow")


def marked(text: str) -> str:
    """The best point's star as a badge that says what it means."""
    plain = escape(text.replace(BEST, "").strip())
    return f"{plain} {badge('met', f'{BEST} best')}".strip() if BEST in text else plain


def definitions(facts: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in facts if text) + "</dl>"


def place(environment: Mapping[str, object]) -> str:
    """Return hardware, torch version and date in words."""
    hardware = environment.get("gpu") or environment.get("cpu") or ""
    said = [str(hardware), f"torch {environment['torch']}" if environment.get("torch") else "", str(environment.get("date", ""))[:10]]
    return ", ".join(value_word(part) for part in said if part)


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
