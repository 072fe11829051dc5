"""Runs that an earlier study of the plan has trained already: the same configuration and seed is not trained twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from budgetnet.definition import Experiment, definition_hash
from budgetnet.metrics import EpochRecord
from budgetnet.results import ResultError, read_result


def trained_before(experiment: Experiment, seed: int, device: str, folders: Iterable[Path]) -> tuple[EpochRecord, ...] | None:
    """The epochs of a finished run of the same definition and seed in one of the studies' ``folders``, or None.

    Where the rate follows no schedule, the beginning of a longer run is as good: it is the same, on a CPU bit for bit, on CUDA up
    to its own nondeterminism. A record that cannot be read is passed over: then the run is simply trained.
    """
    for folder in folders:
        for directory in sorted(folder.glob(f"*/seed-{seed}")):
            try:
                result = read_result(directory)
            except ResultError:
                continue
            if result is None or not result.finished or result.device != device:
                continue
            longer = result.epochs_planned > experiment.recipe.epochs and experiment.recipe.schedule is None
            if not longer and result.epochs_planned != experiment.recipe.epochs:
                continue
            same = replace(experiment, recipe=replace(experiment.recipe, epochs=result.epochs_planned))
            if definition_hash(same) == result.definition_hash:
                return result.epochs[: experiment.recipe.epochs]
    return None
