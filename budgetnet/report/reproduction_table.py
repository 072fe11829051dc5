"""The table of reproduction, like with like: last epoch with last epoch, best with best, training with training, curve with curve."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from budgetnet.report.collect import Row, counted
from budgetnet.report.markup import badge, cell, small, table
from budgetnet.report.tables import NOTHING, markdown_table, percent, spread
from budgetnet.verdict import ReproductionVerdict, reproduction_verdict

INTRO = (
    "A document’s figures are those of one run; its text announces the one in <b>bold</b>. "
    "Each is compared with the same figure of our runs. “Announced the aim”: in how many of our runs an author who reports "
    "the best epoch would have announced the aim as reached. The aim itself is judged by the mean of the last epochs."
)
COLUMNS = (
    "experiment", "document’s last epoch %", "ours", "verdict", "document’s best epoch %", "ours", "verdict",
    "document’s training %", "ours", "curve", "announced the aim",
)  # fmt: skip
RIGHT = {"document’s last epoch %", "document’s best epoch %", "document’s training %", "ours"}


def curve_text(row: Row) -> str:
    """'inside at 13 of 14 epochs': where the document's validation accuracy lies in the 95 % prediction interval of ours."""
    reported = row.experiment.reported
    if reported is None or not reported.curves or not reported.curves[0].validation_accuracy or not row.results:
        return NOTHING
    words = [verdict.word for verdict in curve_verdicts(row)]
    if "indicated" in words:
        return NOTHING
    printed, run = len(reported.curves[0].validation_accuracy), len(row.results[0].epochs)
    more = f" (the document has {printed}, ours have {run})" if printed != run else ""
    return f"inside at {words.count('reproduced')} of {counted(len(words), 'epoch')}{more}"


def curve_verdicts(row: Row) -> list[ReproductionVerdict]:
    """The reproduction of the document's validation accuracy after each epoch that both have."""
    reported = row.experiment.reported
    theirs = reported.curves[0].validation_accuracy if reported and reported.curves else ()
    ours = zip(*([record.validation_accuracy for record in result.epochs] for result in row.results), strict=False)
    return [reproduction_verdict(values, said) for values, said in zip(ours, theirs, strict=False)]


def announced_text(row: Row) -> str:
    """'4 of 10 runs': those whose best epoch reaches the aim."""
    return NOTHING if row.announcing is None else f"{row.announcing} of {counted(len(row.results), 'run')}"


def lines(rows: Sequence[Row]) -> list[tuple[Row, list[str]]]:
    """A line for every experiment with a reported figure and finished runs; the announced figure in Markdown's bold."""
    found = []
    for row in rows:
        reported = row.experiment.reported
        if reported is None or not row.results:
            continue
        last, best = percent(reported.validation_accuracy), percent(reported.best_validation_accuracy)
        last, best = (last, f"**{best}**") if reported.announces == "best" else (f"**{last}**", best)
        train = [result.last.train_accuracy for result in row.results]
        ours = reproduction_verdict(train, None)
        found.append((row, [
            row.experiment.name, last, spread(row.reproduction.mean, row.reproduction.sd), row.reproduction.text,
            best, spread(row.best_reproduction.mean, row.best_reproduction.sd), row.best_reproduction.text,
            percent(reported.train_accuracy), spread(ours.mean, ours.sd), curve_text(row), announced_text(row),
        ]))  # fmt: skip
    return found


def markdown(rows: Sequence[Row]) -> list[str]:
    """The lines of the table in Markdown; none without results."""
    body = [texts for _, texts in lines(rows)]
    intro = INTRO.replace("<b>", "**").replace("</b>", "**")
    return [intro, "", *markdown_table(COLUMNS, body, RIGHT)] if body else []


def html(rows: Sequence[Row]) -> str:
    """The table with its heading for the page; nothing without results."""
    body = lines(rows)
    if not body:
        return ""
    shown = []
    for row, texts in body:
        cells = [cell(escape(texts[0]), head=True)]
        for title, text in zip(COLUMNS[1:], texts[1:], strict=True):
            bold = text.startswith("**")
            content = f"<b>{escape(text.strip('*'))}</b>" if bold else escape(text)
            cells.append(cell(content, "num" if title in RIGHT else "brief"))
        cells[3] = cell(word(row.reproduction), "words")
        cells[6] = cell(word(row.best_reproduction), "words")
        shown.append("".join(cells))
    columns = [(escape(title), "num" if title in RIGHT else "") for title in COLUMNS]
    return f'<h2 id="reproduction">Reproduction, like with like</h2>\n<p>{INTRO}</p>\n{table(columns, shown, "wrapped")}'


def word(found: ReproductionVerdict) -> str:
    """The verdict as a badge, with the prediction interval below it."""
    if found.word == "not reported":
        return NOTHING
    interval = small(f"{found.lower:.2f} … {found.upper:.2f}") if found.lower is not None else ""
    return badge(found.word) + (interval or small(found.text.removeprefix(found.word).strip(" :")))
