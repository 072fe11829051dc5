"""Plots and a page from the stored records of searches; reads no storage, trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from budgetnet.report import sweep_page, sweep_tables
from budgetnet.report.build import replace
from budgetnet.study_results import PLAN, STUDY, PlanRecord, StudyRecord, StudyRecordError, find, read_plan, read_study

FOLDER, PAGE, TABLES = "sweeps", "sweeps.html", "sweeps.md"

R = TypeVar("R", StudyRecord, PlanRecord)


def build_sweeps(roots: Sequence[Path], out: Path) -> list[Path]:
    """Write ``sweeps/<study>.png``, ``sweeps.md`` and ``sweeps.html`` under ``out``; returns the files, the page last.

    ``roots`` hold ``studies/<study>/study.json``; the first that has a study or plan speaks for it, and one that does not exist
    is empty. Everything is made before anything is written. OSError where ``out`` cannot be written.
    """
    studies, notes = collect(roots, STUDY, read_study)
    plans, more = collect(roots, PLAN, read_plan)
    pictures, remark = draw(studies)
    contents = {f"{FOLDER}/{name}.png": picture for name, picture in pictures.items()}
    lines = ["# Searches", "", *map(sweep_tables.markdown, studies), *("\n".join(sweep_tables.final_lines(plan)) for plan in plans)]
    contents[TABLES] = ("\n".join(lines) + "\n").encode()
    contents[PAGE] = sweep_page.render(studies, plans, pictures, [*notes, *more, *remark]).encode()
    files = [replace(out / name, content) for name, content in contents.items()]
    for old in (out / FOLDER).glob("*.png"):
        if old not in files:
            old.unlink()
    return files


def collect(roots: Sequence[Path], name: str, read: Callable[[Path], R]) -> tuple[list[R], list[str]]:
    """The records of that file name, the first root first, and a sentence for each that cannot be read."""
    found: dict[str, R] = {}
    notes = []
    for root in roots:
        for path in find(root, name):
            try:
                record = read(path)
            except StudyRecordError as error:
                notes.append(str(error))
            else:
                found.setdefault(record.name, record)
    return list(found.values()), notes


def draw(studies: Sequence[StudyRecord]) -> tuple[dict[str, bytes], list[str]]:
    """A picture for each study that has a value, or a sentence in place of them where matplotlib is not installed."""
    try:
        from budgetnet.report.sweep_plots import draw_study
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return {}, ["There are no plots: matplotlib is not installed."]
    drawn = {study.name: draw_study(study) for study in studies}
    return {name: picture for name, picture in drawn.items() if picture is not None}, []
