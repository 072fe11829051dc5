"""The page: one HTML file that opens from disk and needs nothing else."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template

from budgetnet import __version__
from budgetnet.definition import Mark
from budgetnet.report import conclusions, convergence_table, reproduction_table, results_table
from budgetnet.report.collect import Pair, Row, counted
from budgetnet.report.conclusions import Answered
from budgetnet.report.markup import badge, cell, page_file, phrases, picture, small, table
from budgetnet.report.sections import mark_part, section, status_badge
from budgetnet.report.tables import NOTHING, count, duration, pair_cells, percent, spread
from budgetnet.report.words import change_phrases, number_marks, validation_label

COLUMNS = (
    ("experiment <small>source</small>", ""), ("change", ""), ("parameters <small>bound</small>", "num"),
    ("ours&nbsp;% <small>last epoch</small>", "num"), ("best&nbsp;% <small>for information</small>", "num"),
    ("aim&nbsp;%", "num"), ("verdict", ""), ("reported&nbsp;% <small>last epoch</small>", "num"), ("verdict", ""),
    ("time <small>s/run</small>", "num"), ("results from", ""),
)  # fmt: skip
PAIR_COLUMNS = (
    ("step", ""), ("twin", ""), ("parameters", "num"), ("twin’s", "num"), ("step&nbsp;%", "num"), ("twin&nbsp;%", "num"),
    ("twin − step", "num"), ("95&nbsp;% interval", "num"), ("which is better", ""),
)  # fmt: skip


def render(
    rows: Sequence[Row],
    pairs: Sequence[Pair],
    pictures: Mapping[str, bytes],
    remark: str = "",
    searches: bool = False,
    answered: Sequence[Answered] = (),
) -> str:
    """The page as HTML.

    ``pictures`` are PNGs: 'overview', 'parameters' and 'curves-<experiment>', any of which may be absent; ``remark``
    is a sentence that says why, if none could be drawn. ``searches``: there is a page of searches beside this one. ``answered`` are the
    documents' conclusions with what the runs say of them.
    """
    numbers = number_marks(row.experiment for row in rows)
    files = resources.files("budgetnet.report")
    missing = f"<p>{escape(remark)}</p>" if remark else "<p>Nothing to show yet.</p>"
    return Template((files / "page.html").read_text(encoding="utf-8")).substitute(
        css=(files / "page.css").read_text(encoding="utf-8"),
        validation=escape(validation_sentence(rows)),
        tiles=tiles(rows),
        table=table(COLUMNS, [line(row, numbers) for row in rows]),
        overview=picture(pictures.get("overview"), "final accuracy of every experiment", "wide"),
        parameters=picture(pictures.get("parameters"), "parameters against accuracy", "wide") or missing,
        twins=twin_part(pairs),
        reproduction=reproduction_table.html(rows),
        convergence=convergence_table.html(rows),
        losses=results_table.html(rows),
        conclusions=conclusions.html(answered),
        searches='<p><a href="sweeps.html">Searches: maps, curves and tables of the studies</a></p>' if searches else "",
        experiments="\n".join(section(row, pictures.get(f"curves-{row.experiment.name}"), numbers) for row in rows),
        marks=mark_part(numbers),
        notes=note_part(rows),
        date=datetime.date.today().isoformat(),
        version=__version__,
    )


def validation_sentence(rows: Sequence[Row]) -> str:
    """Return the label of the validation images of most experiments, and how many experiments have others."""
    labels = Counter(validation_label(row.experiment) for row in rows)
    if not labels:
        return ""
    (common, number), *_ = labels.most_common(1)
    others = len(rows) - number
    said = f"; {counted(others, 'experiment')} {'has' if others == 1 else 'have'} other validation images, named on their pages"
    return f"In tables and curves: {common}{said if others else ''}."


# --- the headline -----------------------------------------------------------------------------------------------------


def tiles(rows: Sequence[Row]) -> str:
    """Return the summary: experiments with results, verdicts, hardware."""
    having = [row for row in rows if row.results]
    runs = counted(sum({row.experiment.runs_name: len(row.results) for row in having}.values()), "finished run")
    others = Counter(row.status.split(" ")[0] for row in rows if not row.results)
    aims = Counter(row.aim.word for row in having if row.aim.aim is not None)
    reports = Counter(row.reproduction.word for row in having if row.reproduction.reported is not None)
    reproduced = reports["reproduced"] + reports["exceeded"]
    have = f"{'has' if len(having) == 1 else 'have'} results"
    found = [
        tile(f"{len(having)} of {counted(len(rows), 'experiment')}", f"{have}, {runs}", badges(others)),
        tile(f"{aims['met']} of {counted(sum(aims.values()), 'aim')} met", "of those with results", badges(aims)),
        tile(f"{reproduced} of {counted(sum(reports.values()), 'report')}", "reproduced or exceeded", badges(reports)),
        place_tile(having),
    ]
    return f'<section class="tiles" aria-label="what exists">{"".join(found)}</section>'


def place_tile(having: Sequence[Row]) -> str:
    """The results folder with its hardware, or of several how many results each has."""
    places = Counter(f"{row.place}" for row in having)
    if len(places) > 1:
        listed = "".join(f"<li>{escape(place)}: {number}</li>" for place, number in places.most_common())
        return tile(f"{len(places)} results folders", "where the results come from", f'<ul class="places">{listed}</ul>')
    hardware = "; ".join(dict.fromkeys(row.setup for row in having))
    return tile(", ".join(places) or "no hardware yet", f"where the results come from{f': {hardware}' if hardware else ''}", "")


def tile(figure: str, text: str, more: str) -> str:
    return f'<div class="tile"><b>{escape(figure)}</b><small>{escape(text)}</small><div>{more}</div></div>'


def badges(counts: Mapping[str, int]) -> str:
    return " ".join(badge(word, f"{number} {word}") for word, number in counts.items() if number)


# --- the tables -------------------------------------------------------------------------------------------------------


def line(row: Row, numbers: dict[Mark, int]) -> str:
    """The cells of an experiment in the main table."""
    experiment = row.experiment
    change = change_phrases(experiment, row.parent)
    name = f'<a href="{page_file(experiment.name)}">{escape(experiment.name)}</a>'  # inherited marks stand on its page
    ours = f"{spread(row.aim.mean, row.aim.sd)}{small(row.status)}" if row.results else status_badge(row)
    where = f"{escape(row.place)}{small(row.setup)}" if row.place and (row.results or row.partial) else NOTHING
    bound = small(f"≤ {experiment.budget.bound:,}") if experiment.budget.bound else ""
    notes = badge("note", counted(len(row.notes), "note"), "; ".join(row.notes)) if row.notes else ""
    return "".join([
        cell(name + small(experiment.source), head=True), cell(phrases(change, numbers), "change"),
        cell(f"{count(row.parameters)}{bound}", "num"), cell(ours, "num"), cell(percent(row.best_mean), "num"),
        cell(percent(row.aim.aim), "num"), cell(verdict(row, row.aim.word, row.aim.text), "words"),
        cell(percent(row.reproduction.reported), "num"), cell(verdict(row, row.reproduction.word, row.reproduction.text), "words"),
        cell(duration(row.seconds), "num"), cell(f"{where} {notes}", "where"),
    ])  # fmt: skip


def verdict(row: Row, word: str, text: str) -> str:
    """A badge where there is something to judge; for what is missing the status beside it says why."""
    if not row.results or word in ("no aim", "not reported"):
        return f'<span class="soft">{escape(word if row.results else NOTHING)}</span>'
    return badge(word) + (small(text.removeprefix(word).strip(" :()")) if text != word else "")


def twin_part(pairs: Sequence[Pair]) -> str:
    """The comparison of steps and twins; nothing where there are no twins."""
    if not pairs:
        return ""
    rows = []
    for pair in pairs:
        texts = pair_cells(pair)
        cells = [cell(escape(texts[0]), head=True), cell(escape(texts[1]))]
        cells += [cell(escape(text), "num") for text in texts[2:-1]]
        decided = pair.one_place and pair.comparison.word in ("first", "second")
        rows.append("".join([*cells, cell(badge("exceeded" if decided else "none", texts[-1]))]))
    intro = "A twin is built at its step’s budget to answer one question: which of two readings is the better use of the same parameters."
    how = "The interval is Welch’s, two-sided; it needs two seeds on each side, from the same machine."
    return f'<h2 id="twins">Twins</h2>\n<p>{intro} {how}</p>\n{table(PAIR_COLUMNS, rows)}'


# --- what stands below ------------------------------------------------------------------------------------------------


def note_part(rows: Sequence[Row]) -> str:
    """Return the experiments that were left out and the records that cannot be read."""
    items = "".join(f"<li><b>{escape(row.experiment.name)}</b>: {escape(note)}</li>" for row in rows for note in row.notes)
    return f'<h2 id="notes">Left out</h2>\n<ul class="notes">{items}</ul>' if items else ""
