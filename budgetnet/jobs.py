"""Many runs: in this process one after the other, or on a CPU side by side in one-threaded worker processes.

At these sizes two runs with a thread each finish sooner than one run with two threads after the other
(docs/performance.md), and a run that fails takes no other with it.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from budgetnet.definition import Experiment
from budgetnet.environment import usable_cores
from budgetnet.progress import ConsoleProgress, QueueProgress
from budgetnet.results import Result
from budgetnet.run import Options, run


@dataclass(frozen=True)
class Job:
    """One experiment to be trained with one seed."""

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


class WorkerDied(Exception):
    """A worker process ended without a word: killed, or out of memory."""


def workers_for(jobs: int, device: str, asked: int | None) -> int:
    """Worker processes: one a core on a CPU when there is more than one job; on CUDA the runs share the one process."""
    if asked is not None:
        return max(1, min(asked, jobs))
    return 1 if device != "cpu" else max(1, min(jobs, usable_cores()))


def run_all(jobs: Sequence[Job], options: Options, workers: int, progress: ConsoleProgress) -> list[Outcome]:
    """Run every job; outcomes in the order of ``jobs``. KeyboardInterrupt ends all; checkpoints stay and are resumed."""
    try:
        if workers == 1:
            return [_run_here(job, options, progress) for job in jobs]
        return _run_in_workers(jobs, options, workers, progress)
    finally:
        progress.close()


def _run_here(job: Job, options: Options, progress: Any) -> Outcome:
    try:
        return run(job.experiment, job.seed, options, progress)
    except Exception as error:  # reported by the caller; the next job goes on
        progress.finish(job.name, f"failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        return Failure(job, error)


def _work(tasks: Any, events: Any, options: Options, number: int) -> None:
    """A worker's life: take a job's index and the job, run it, tell the outcome; None ends it."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(options.settings.threads)
    while (task := tasks.get()) is not None:
        index, job = task
        events.put(("take", (number, index)))
        events.put(("outcome", (index, _run_here(job, options, QueueProgress(events)))))


def _end_with_parent() -> None:
    """A worker must not outlive a parent that was killed: it would hold its run directory and go on unseen."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_in_workers(jobs: Sequence[Job], options: Options, workers: int, progress: ConsoleProgress) -> list[Outcome]:
    context = multiprocessing.get_context("spawn")
    tasks, events = context.Queue(), context.Queue()
    for item in [*enumerate(jobs), *[None] * workers]:
        tasks.put(item)
    options = replace(options, settings=replace(options.settings, threads=1))
    processes = [context.Process(target=_work, args=(tasks, events, options, number), daemon=True) for number in range(workers)]
    outcomes: dict[int, Outcome] = {}
    taken: dict[int, int] = {}
    try:
        _start_deaf_to_ctrl_c(processes)
        while len(outcomes) < len(jobs):
            try:
                kind, content = events.get(timeout=0.5)
            except queue.Empty:
                _bury(processes, jobs, taken, outcomes, progress)
                continue
            if kind == "take":
                taken[content[0]] = content[1]
            elif kind == "outcome":
                outcomes[content[0]] = content[1]
            else:
                getattr(progress, kind)(*content)
    finally:
        tasks.cancel_join_thread()  # what nobody will take must not hold up our own end
        for process in processes:
            if process.pid is not None:
                process.terminate() if len(outcomes) < len(jobs) else process.join(10)
    return [outcomes[index] for index in range(len(jobs))]


def _start_deaf_to_ctrl_c(processes: list[Any]) -> None:
    """Start workers that ignore SIGINT from their first moment on: a terminal sends Ctrl-C to everyone, the parent decides."""
    if threading.current_thread() is not threading.main_thread():
        for process in processes:
            process.start()
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for process in processes:
            process.start()
    finally:
        signal.signal(signal.SIGINT, before)


def _bury(
    processes: list[Any], jobs: Sequence[Job], taken: dict[int, int], outcomes: dict[int, Outcome], progress: ConsoleProgress
) -> None:
    """Give the jobs of dead workers an outcome; when no worker is left, every job that nobody took as well."""
    dead = [number for number, process in enumerate(processes) if process.exitcode is not None]
    lost = {taken[number] for number in dead if number in taken and taken[number] not in outcomes}
    if len(dead) == len(processes):
        lost = set(range(len(jobs))) - set(outcomes)
    for index in lost:
        error = WorkerDied(
            f"the worker process of {jobs[index].name} ended without a word (killed, or out of memory); the same command resumes it"
        )
        outcomes[index] = Failure(jobs[index], error)
        progress.finish(jobs[index].name, f"failed: {error}")
