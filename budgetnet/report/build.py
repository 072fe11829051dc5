"""From a catalogue and the roots of stored results to a report on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgetnet.catalogue import Catalogue
from budgetnet.report import page, tables
from budgetnet.report.collect import Pair, Row, collect, twins

PLOTS = "plots"


@dataclass(frozen=True)
class Summary:
    """What a report says: a row per experiment, a pair per twin, and the files that were written."""

    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    files: tuple[Path, ...] = ()

    def as_json(self) -> list[dict[str, Any]]:
        """One JSON-ready object per experiment, in the catalogue's order; numbers in full precision."""
        return [tables.record(row) for row in self.rows]

    def text(self) -> str:
        """The aligned table for a terminal."""
        return tables.console_text(self.rows)


def summarize(catalogue: Catalogue, roots: Sequence[Path]) -> Summary:
    """The rows and pairs alone: writes nothing and draws nothing."""
    rows = collect(catalogue, roots)
    return Summary(tuple(rows), tuple(twins(rows)))


def build(catalogue: Catalogue, roots: list[Path], out: Path) -> Summary:
    """Write ``index.html``, ``summary.md``, ``summary.csv`` and ``plots/*.png`` under ``out``.

    ``roots`` are searched in order (``runs``, ``results/<hardware>``); one that does not exist is empty. Everything
    is made before anything is written, and each file is replaced in one step, the page last: a report that fails
    leaves the old one in place. OSError where ``out`` cannot be written.
    """
    summary = summarize(catalogue, roots)
    pictures, remark = draw(summary)
    contents: dict[str, bytes] = {f"{PLOTS}/{name}.png": picture for name, picture in pictures.items()}
    contents["summary.md"] = tables.markdown(summary.rows, summary.pairs).encode()
    contents["summary.csv"] = tables.csv_text(summary.rows).encode()
    contents["index.html"] = page.render(summary.rows, summary.pairs, pictures, remark).encode()
    files = [replace(out / name, content) for name, content in contents.items()]
    for old in (out / PLOTS).glob("curves-*.png"):
        if old not in files:
            old.unlink()
    return Summary(summary.rows, summary.pairs, tuple(files))


def draw(summary: Summary) -> tuple[dict[str, bytes], str]:
    """All plots by name, and a sentence in place of them where matplotlib is not installed."""
    try:
        from budgetnet.report.curves import curves
        from budgetnet.report.overview import overview_plot
        from budgetnet.report.plots import parameters_plot
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return {}, "There are no plots: matplotlib is not installed."
    drawn = {"overview": overview_plot(summary.rows), "parameters": parameters_plot(summary.rows)}
    drawn |= {f"curves-{row.experiment.name}": curves(row) for row in summary.rows}
    return {name: picture for name, picture in drawn.items() if picture is not None}, ""


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
