"""The page of one experiment: its network, curves, weights and mistakes, and everything that the results say. Opens from disk."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from html import escape
from importlib import resources
from string import Template

from budgetnet import __version__, structure
from budgetnet.diagnostics.record import Diagnostics, confused_pairs
from budgetnet.report.collect import Row, counted
from budgetnet.report.markup import cell, picture_to_scale, table
from budgetnet.report.sections import definition, facts, headline_badges, mark_part, seeds
from budgetnet.report.tables import spread
from budgetnet.report.words import number_marks

KINDS = ("graph", "curves", "weights", "confusion", "errors")
GENERATOR = '<meta name="generator" content="budgetnet">'  # in experiment.html: the mark of a page that a report may replace


def render(row: Row, pictures: Mapping[str, bytes], remark: str = "") -> str:
    """The page as HTML. ``pictures`` are PNGs by KINDS, any of which may be absent; ``remark`` says why none could be drawn."""
    experiment, record = row.experiment, row.diagnostics
    numbers = number_marks([experiment])
    figure = f'<p class="headline"><b>{spread(row.aim.mean, row.aim.sd)} %</b> {"".join(headline_badges(row))}</p>'
    parts = [f"<p>{escape(remark)}</p>" if remark else "", invitation(row), facts(row, numbers)]
    if record is not None:
        parts.append(network(record, pictures.get("graph"), row.experiment.budget.keras_total is not None))
    parts.append(training(row, pictures.get("curves")))
    if record is not None:
        parts += [
            weights(record, pictures.get("weights")),
            confusion(record, pictures.get("confusion")),
            errors(record, pictures.get("errors")),
        ]
    parts += ['<h2 id="definition">Definition</h2>', definition(row, numbers, folded=False), mark_part(numbers)]
    files = resources.files("budgetnet.report")
    return Template((files / "experiment.html").read_text(encoding="utf-8")).substitute(
        css=(files / "page.css").read_text(encoding="utf-8"), name=escape(experiment.name),
        lead=figure if row.results else f"<p>{''.join(headline_badges(row))}</p>",
        body="\n".join(part for part in parts if part), date=datetime.date.today().isoformat(), version=__version__,
    )  # fmt: skip


def invitation(row: Row) -> str:
    """Return the command that creates the missing pictures."""
    name = escape(row.experiment.name)
    if not row.results:
        return f"<p>There is no finished run yet; this makes one: <code>budgetnet run {name}</code></p>"
    if row.diagnostics is None:
        return f"<p>The network, its weights and its errors are shown once <code>budgetnet inspect {name}</code> has looked at a run.</p>"
    return ""


def network(record: Diagnostics, graph: bytes | None, with_keras_total: bool) -> str:
    """The drawing of the graph, and the table of its layers as Keras lays it out."""
    if not record.layers:
        return f'<h2 id="network">Network</h2>\n<p>There is no drawing: {escape(record.layers_remark)}</p>'
    joined = [layer.label for layer in record.layers if len(layer.inputs) > 1]
    alternative = f"the network's graph, {counted(len(record.layers), 'layer')} from the input to {record.layers[-1].label}"
    alternative += f"; branches meet in {', '.join(joined)}" if joined else "; one after the other"
    rows = [
        cell(escape(label), head=True) + cell(escape(shape), "num") + cell(f"{parameters:,}", "num") + cell(escape(inputs))
        for label, shape, parameters, inputs in structure.table(record.layers, with_keras_total)
    ]
    columns = list(zip(structure.HEADER, ("", "num", "num", ""), strict=True))
    listed = f'<details class="inner" open><summary>the layers as a table</summary>{table(columns, rows, "narrow named")}</details>'
    note = "Activations, dropout and normalization stand in the box of the layer that they follow."
    shown = f'<div class="beside">{picture_to_scale(graph, alternative)}\n{listed}</div>'
    return f'<h2 id="network">Network</h2>\n<p>{note}</p>\n{shown}'


def training(row: Row, curves: bytes | None) -> str:
    """Loss and accuracy against epoch over all seeds, and a line for every run."""
    found = seeds(row)
    if not found:
        return ""
    alternative = f"loss and accuracy against epoch of {row.experiment.name}, training and validation together"
    return f'<h2 id="training">Training</h2>\n{picture_to_scale(curves, alternative)}\n{found}'


def weights(record: Diagnostics, violins: bytes | None) -> str:
    """Violins of every trained tensor."""
    if not record.weights:
        return ""
    widest = max(record.weights, key=lambda one: one.sd)
    alternative = (
        f"violin plots of the {counted(len(record.weights), 'tensor')} of weights; {widest.name} spreads widest, sd {widest.sd:.2g}"
    )
    note = f"Where seed {record.seed} left the weights of every layer: density, quartiles (bar), median (dot), standard deviation (sd)."
    rows = [
        cell(escape(one.name), head=True) + cell("×".join(map(str, one.shape)), "num")
        + "".join(cell(f"{value:.3g}".replace("-", "−"), "num") for value in (one.mean, one.sd, one.minimum, one.median, one.maximum))
        for one in record.weights
    ]  # fmt: skip
    columns = [("tensor", ""), *((name, "num") for name in ("shape", "mean", "sd", "least", "median", "greatest"))]
    listed = f'<details class="inner"><summary>the figures as a table</summary>{table(columns, rows, "narrow named")}</details>'
    return f'<h2 id="weights">Weights</h2>\n<p>{note}</p>\n{picture_to_scale(violins, alternative)}\n{listed}'


def confused_text(record: Diagnostics) -> str:
    """'4 and 9 are confused most: 9 times (4 as 9: 5, 9 as 4: 4)', then the next pairs; a sentence where nothing is confused."""
    pairs = confused_pairs(record.confusion)
    if not pairs:
        return "No two classes are confused."
    first, *rest = pairs
    name = record.name
    a, b = name(first.first), name(first.second)
    times = "once" if first.together == 1 else f"{first.together:,} times"
    sentence = f"{a} and {b} are confused most: {times} ({a} as {b}: {first.first_as_second:,}, {b} as {a}: {first.second_as_first:,})"
    then = ", ".join(f"{name(pair.first)} and {name(pair.second)} ({pair.together:,})" for pair in rest)
    return sentence + (f"; then {then}." if then else ".")


def confusion(record: Diagnostics, matrix: bytes | None) -> str:
    """The confusion matrix as a picture and as a table, and the pairs that are confused most."""
    note = f"With seed {record.seed}, {record.accuracy:.2f} % of {record.images_text} are right. {confused_text(record)}"
    classes = range(len(record.confusion))
    rows = [
        cell(escape(record.name(true)), head=True)
        + "".join(cell(f"{count:,}" if count else "·", "num") for count in record.confusion[true])
        for true in classes
    ]
    columns = [("true", ""), *((f"as&nbsp;{escape(record.name(n))}", "num") for n in classes)]
    listed = f'<details class="inner"><summary>the matrix as a table</summary>{table(columns, rows, "narrow")}</details>'
    alternative = f"confusion matrix, true classes down, predicted ones across. {confused_text(record)}"
    return f'<h2 id="confusion">Confusion</h2>\n<p>{escape(note)}</p>\n{picture_to_scale(matrix, alternative)}\n{listed}'


def errors(record: Diagnostics, grid: bytes | None) -> str:
    """The worst errors: images with true and predicted class and confidence, and the same as a table."""
    title = '<h2 id="errors">Worst errors</h2>'
    if not record.errors:
        return f"{title}\n<p>There is none among {escape(record.images_text)}.</p>"
    note = f"The {len(record.errors)} of {counted(record.error_count, 'error')} that the network of seed {record.seed} is surest of: "
    note += "true class → predicted class, the probability that it gives the wrong one, and the image’s number in its set."
    name = record.name
    taken = (f"#{e.index}: {name(e.true)} taken for {name(e.predicted)}, {100 * e.confidence:.2f} % sure" for e in record.errors)
    alternative = "; ".join(taken)
    rows = [
        cell(f"#{e.index}", head=True) + cell(escape(name(e.true)), "num") + cell(escape(name(e.predicted)), "num")
        + cell(f"{100 * e.confidence:.2f} %", "num") + cell(f"{100 * e.true_probability:.2f} %", "num")
        for e in record.errors
    ]  # fmt: skip
    columns = [("image", ""), *((name, "num") for name in ("true", "predicted", "confidence", "probability of the true"))]
    listed = f'<details class="inner"><summary>the errors as a table</summary>{table(columns, rows, "narrow")}</details>'
    return f"{title}\n<p>{note}</p>\n{picture_to_scale(grid, alternative)}\n{listed}"
