"""Many runs: on CUDA the seeds of an experiment at once, on a CPU side by side in worker processes, or one after the other.

At these sizes two runs with a thread each finish sooner than one run with two threads after the other
(docs/performance.md), and a run that fails takes no other with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from budgetnet.environment import usable_cores
from budgetnet.jobs.job import Failure, Job, Outcome, Supply, WorkerDied, run_here
from budgetnet.jobs.workers import run_in_workers
from budgetnet.progress import ConsoleProgress
from budgetnet.run import Options, run_together, trains_together

__all__ = ["Failure", "Job", "Outcome", "Supply", "WorkerDied", "run_all", "run_supplied", "workers_for"]

TOGETHER = 32  # seeds in one stack, at most


def workers_for(jobs: int, device: str, asked: int | None) -> int:
    """Worker processes: one a core on a CPU when there is more than one job; on CUDA the runs share the one process."""
    if asked is not None:
        return max(1, min(asked, jobs))
    return 1 if device != "cpu" else max(1, min(jobs, usable_cores()))


def run_all(jobs: Sequence[Job], options: Options, workers: int, progress: ConsoleProgress) -> list[Outcome]:
    """Run every job; outcomes in the order of ``jobs``. KeyboardInterrupt ends all; checkpoints stay and are resumed."""
    if trains_together(options.settings) and workers == 1:
        try:
            found = {job: outcome for group in _groups(jobs) for job, outcome in _run_group(group, options, progress)}
        finally:
            progress.close()
        return [found[job] for job in jobs]
    waiting = iter(enumerate(jobs))
    with contextlib.closing(run_supplied(lambda: next(waiting, None), options, workers, progress)) as ended:
        outcomes = dict(ended)
    return [outcomes[place] for place in range(len(jobs))]


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs of each experiment, in the order in which the experiments come first."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.experiment.name, []).append(job)
    return [group[first : first + TOGETHER] for group in groups.values() for first in range(0, len(group), TOGETHER)]


def _run_group(group: Sequence[Job], options: Options, progress: ConsoleProgress) -> Iterator[tuple[Job, Outcome]]:
    try:
        outcomes = run_together(group[0].experiment, [job.seed for job in group], options, progress)
    except Exception as error:  # reported by the caller; the next group goes on
        yield from ((job, Failure(job, error)) for job in group)
        return
    for job in group:
        outcome = outcomes[job.seed]
        yield job, Failure(job, outcome) if isinstance(outcome, BaseException) else outcome


def run_supplied(supply: Supply, options: Options, workers: int, progress: ConsoleProgress) -> Generator[tuple[Any, Outcome]]:
    """Run what ``supply`` gives and hand every outcome over as it comes, with the key that came with its job.

    ``supply`` is asked whenever a worker is free; when it has nothing and nothing runs any more, this ends. Close the generator
    (``contextlib.closing``) so that workers end when its reader does.
    """
    try:
        if workers > 1:
            yield from run_in_workers(supply, options, workers, progress)
            return
        while (given := supply()) is not None:
            key, job = given
            yield key, run_here(job, options, progress)
    finally:
        progress.close()
