"""A job: an experiment with a seed, and its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from budgetnet.definition import Experiment
from budgetnet.progress import Progress
from budgetnet.results import Result
from budgetnet.run import Options, run


@dataclass(frozen=True)
class Job:
    """An experiment to be trained with one seed."""

    experiment: Experiment
    seed: int

    @property
    def name(self) -> str:
        return f"{self.experiment.name} seed {self.seed}"


@dataclass(frozen=True)
class Failure:
    """A job that ended without a result: the error that ended it, as raised or as told by a worker."""

    job: Job
    error: BaseException


Outcome = Result | Failure
Supply = Callable[[], tuple[Any, Job] | None]  # the next job with a key of its own, or None for nothing now


class WorkerDied(Exception):
    """A worker process ended without a word: killed, or out of memory."""


def run_here(job: Job, options: Options, progress: Progress) -> Outcome:
    """Run the job in this process; an error becomes a Failure, so that the next job goes on."""
    try:
        return run(job.experiment, job.seed, options, progress)
    except Exception as error:  # reported by the caller
        progress.finish(job.name, f"failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        return Failure(job, error)
