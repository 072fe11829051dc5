"""The results table of the Keras documents: hidden layers, training loss and accuracy, loss and accuracy of what validates, test.

Ours stand beside the reported ones: means ± standard deviations over the seeds, last epoch. It has a row for every
experiment whose network can name its hidden layers.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from budgetnet.report.collect import Row
from budgetnet.report.markup import cell, table
from budgetnet.report.tables import NOTHING, markdown_table
from budgetnet.results import Result

COLUMNS = (
    "experiment", "hidden layers", "train loss", "reported", "train %", "reported", "loss", "reported", "accuracy %", "reported",
    "test loss", "test %", "reported", "verdict",
)  # fmt: skip
LEFT = {"experiment", "hidden layers", "verdict"}
RIGHT = set(COLUMNS) - LEFT

Figure = Callable[[Result], float | None]


@dataclass(frozen=True)
class Measure:
    """A figure of a run, its decimals, and the name of the reported figure."""

    figure: Figure
    digits: int
    reported: str | None


MEASURES = (
    Measure(lambda result: result.last.train_loss, 4, "train_loss"),
    Measure(lambda result: result.last.train_accuracy, 2, "train_accuracy"),
    Measure(lambda result: result.last.validation_loss, 4, "validation_loss"),
    Measure(lambda result: result.last.validation_accuracy, 2, "validation_accuracy"),
    Measure(lambda result: result.test_loss, 4, None),
    Measure(lambda result: result.test_accuracy, 2, "test_accuracy"),
)


def has_place(row: Row) -> bool:
    """Tell whether the table has a row for it: its network names its hidden layers, and it has results."""
    return bool(hidden_layers(row)) and bool(row.results or row.partial)


def hidden_layers(row: Row) -> tuple[str, ...]:
    """Return the text by which a network describes itself; a field of that name that holds no text is a user's own."""
    layers = getattr(row.experiment.model, "hidden_layers", ())
    return layers if isinstance(layers, tuple) and all(isinstance(layer, str) for layer in layers) else ()


def cells(row: Row) -> list[str]:
    """The texts of one line; an unfinished run's figures are shown, said to be partial, and not judged."""
    results = row.results or row.partial
    layers = hidden_layers(row)
    texts = [row.experiment.name, f"{len(layers)}: {', '.join(layers)}"]
    for measure in MEASURES:
        texts.append(mean_and_sd([measure.figure(result) for result in results], measure.digits))
        if measure.reported is not None:
            said = getattr(row.experiment.reported, measure.reported, None)
            texts.append(NOTHING if said is None else f"{said:.{measure.digits}f}")
    verdict = f"{row.reproduction.text}, {row.status}" if row.results else f"{row.status}, not judged"
    return [*texts, verdict]


def mean_and_sd(values: Sequence[float | None], digits: int) -> str:
    """``0.0412 ± 0.0011``; a single value alone; a dash where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return NOTHING
    mean = f"{statistics.fmean(known):.{digits}f}"
    return f"{mean} ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else mean


def markdown(rows: Sequence[Row]) -> list[str]:
    """The lines of the table in Markdown; none where no experiment has a place in it."""
    having = [row for row in rows if has_place(row)]
    return markdown_table(COLUMNS, [cells(row) for row in having], RIGHT) if having else []


def html(rows: Sequence[Row]) -> str:
    """The table with its heading for the page; nothing where no experiment has a place in it."""
    having = [row for row in rows if has_place(row)]
    if not having:
        return ""
    intro = (
        "The table of the Keras documents: last epoch, mean ± standard deviation over the seeds, beside the reported figures. "
        "Losses are in nats. “Loss” and “accuracy” are of the images that validate; the test set stands apart where those were held out."
    )
    columns = [(escape(name), "num" if name in RIGHT else "") for name in COLUMNS]
    body = [_html_line(cells(row)) for row in having]
    return f'<h2 id="losses">Losses and accuracies</h2>\n<p>{intro}</p>\n{table(columns, body)}'


def _html_line(texts: Sequence[str]) -> str:
    parts = [cell(escape(texts[0]), head=True)]
    parts += [cell(escape(text), "num" if name in RIGHT else "") for name, text in zip(COLUMNS[1:], texts[1:], strict=True)]
    return "".join(parts)
