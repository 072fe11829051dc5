"""Build a report on disk from a catalogue and the roots of stored results."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.catalogue import Catalogue
from budgetnet.report import conclusions, convergence_table, experiment_page, page, reproduction_table, results_table, tables
from budgetnet.report.collect import Pair, Row, collect, twins
from budgetnet.report.conclusions import Answered
from budgetnet.report.markup import page_file
from budgetnet.study_results import STUDY, StudyRecord, StudyRecordError, find, read_study

PLOTS = "plots"
CURVES = "curves-"  # before an experiment's name: the key of its curves among the pictures of the overview page


@dataclass(frozen=True)
class Summary:
    """Contents of a report: a row per experiment, a pair per twin, and the written files."""

    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    files: tuple[Path, ...] = ()

    def as_json(self) -> list[dict[str, Any]]:
        """Return a JSON-ready object per experiment, in the catalogue's order; numbers in full precision."""
        return [tables.record(row) for row in self.rows]

    def text(self) -> str:
        """The aligned table for a terminal."""
        return tables.console_text(self.rows)


def summarize(catalogue: Catalogue, roots: Sequence[Path]) -> Summary:
    """The rows and pairs alone: writes nothing and draws nothing."""
    rows = collect(catalogue, roots)
    return Summary(tuple(rows), tuple(twins(rows)))


def build(catalogue: Catalogue, roots: list[Path], out: Path) -> Summary:
    """Write ``index.html``, a page for each experiment, ``summary.md``, ``summary.csv`` and the pictures in ``plots`` under ``out``.

    ``roots`` are searched in order (``runs``, ``results/<hardware>``); one that does not exist is empty. Everything
    is made before anything is written, and each file is replaced in one step, the page last: a report that fails
    leaves the old one in place. OSError where ``out`` cannot be written.
    """
    summary = summarize(catalogue, roots)
    pictures, remark = draw(summary)
    drawn, drawn_remark = draw_diagnostics(summary.rows)
    contents: dict[str, bytes] = {f"{PLOTS}/{name}.png": picture for name, picture in pictures.items() if not name.startswith(CURVES)}
    for row in summary.rows:
        name = row.experiment.name
        own = dict(drawn.get(name, {}))
        if CURVES + name in pictures:
            own["curves"] = pictures[CURVES + name]
        contents |= {f"{PLOTS}/{name}/{kind}.png": picture for kind, picture in own.items()}
        contents[page_file(name)] = experiment_page.render(row, own, remark or drawn_remark).encode()
    answered = conclusions.answers(catalogue.conclusions, summary.rows, searches(roots))
    contents["summary.md"] = tables.markdown(summary.rows, summary.pairs, parts(summary.rows, answered)).encode()
    contents["summary.csv"] = tables.csv_text(summary.rows).encode()
    contents["index.html"] = page.render(summary.rows, summary.pairs, pictures, remark, has_searches(roots), answered).encode()
    files = [replace(out / name, content) for name, content in contents.items()]
    remove_old(out, set(files))
    return Summary(summary.rows, summary.pairs, tuple(files))


def parts(rows: Sequence[Row], answered: Sequence[Answered]) -> dict[str, list[str]]:
    """The further tables of ``summary.md`` by their title."""
    return {
        "Reproduction, like with like": reproduction_table.markdown(rows), "Stability and convergence": convergence_table.markdown(rows),
        "Losses and accuracies": results_table.markdown(rows), "The documents' conclusions": conclusions.markdown(answered),
    }  # fmt: skip


def searches(roots: Sequence[Path]) -> list[StudyRecord]:
    """The records of all searches; the page of the searches says which cannot be read."""
    found = []
    for root in roots:
        for path in find(root, STUDY):
            with contextlib.suppress(StudyRecordError):
                found.append(read_study(path))
    return found


def has_searches(roots: Sequence[Path]) -> bool:
    """Tell whether there is something to show on the page of searches."""
    return any(True for root in roots for _ in find(root, STUDY))


def draw(summary: Summary) -> tuple[dict[str, bytes], str]:
    """All plots by name, and a sentence in place of them where matplotlib is not installed."""
    try:
        from budgetnet.report.curves import curves
        from budgetnet.report.overview import overview_plot
        from budgetnet.report.plots import parameters_plot
    except ModuleNotFoundError as error:
        return {}, without_matplotlib(error)
    drawn = {"overview": overview_plot(summary.rows), "parameters": parameters_plot(summary.rows)}
    drawn |= {f"curves-{row.experiment.name}": curves(row) for row in summary.rows}
    return {name: picture for name, picture in drawn.items() if picture is not None}, ""


def draw_diagnostics(rows: Sequence[Row]) -> tuple[dict[str, dict[str, bytes]], str]:
    """For each experiment whose runs were looked at closely its pictures by kind, and a sentence where none can be drawn."""
    try:
        from budgetnet.report.mistakes import confusion_plot, errors_plot
        from budgetnet.report.network import graph_plot
        from budgetnet.report.violins import weights_plot
    except ModuleNotFoundError as error:
        return {}, without_matplotlib(error)
    drawn = {}
    for row in rows:
        record = row.diagnostics
        if record is not None:
            made = {
                "graph": graph_plot(record.layers), "weights": weights_plot(record.weights), "confusion": confusion_plot(record),
                "errors": errors_plot(record),
            }  # fmt: skip
            drawn[row.experiment.name] = {kind: picture for kind, picture in made.items() if picture is not None}
    return drawn, ""


def without_matplotlib(error: ModuleNotFoundError) -> str:
    """The sentence where plots would stand; raises the error where another module is missing."""
    if (error.name or "").partition(".")[0] != "matplotlib":
        raise error
    return "There are no plots: matplotlib is not installed."


def remove_old(out: Path, files: set[Path]) -> None:
    """Delete the pictures and pages of an earlier report that this one does not have; files of other kinds stay."""
    known = {f"{kind}.png" for kind in experiment_page.KINDS}
    for old in (*(out / PLOTS).glob("curves-*.png"), *(out / PLOTS).glob("*/*.png"), *out.glob("*.html")):
        if old in files or (old.parent.parent.name == PLOTS and old.name not in known):
            continue
        if old.suffix == ".html" and experiment_page.GENERATOR not in old.read_text(encoding="utf-8", errors="replace"):
            continue
        old.unlink()
        if old.parent.parent.name == PLOTS and not any(old.parent.iterdir()):
            old.parent.rmdir()


def replace(path: Path, content: bytes) -> Path:
    """Write a file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
