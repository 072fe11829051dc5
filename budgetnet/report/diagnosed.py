"""Which run's diagnostics stand for an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from budgetnet.diagnostics.record import DIAGNOSTICS, Diagnostics, read_diagnostics
from budgetnet.results import Result, ResultError


def first_record(root: Path, results: Sequence[Result]) -> tuple[Diagnostics | None, list[str]]:
    """The record of the first run that has one, and what is wrong with those before it."""
    problems = []
    for result in results:
        directory = root / result.experiment / f"seed-{result.seed}"
        try:
            record = read_diagnostics(directory)
        except ResultError as error:
            problems.append(str(error))
            continue
        if record is None:
            continue
        if (record.experiment, record.definition_hash, record.seed) == (result.experiment, result.definition_hash, result.seed):
            return record, problems
        problems.append(f"{directory / DIAGNOSTICS} is of another run; make it anew with budgetnet inspect {result.experiment}")
    return None, problems
