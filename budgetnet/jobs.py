"""Many runs: in this process one after the other, or on a CPU side by side in one-threaded worker processes.

At these sizes two runs with a thread each finish sooner than one run with two threads after the other
(docs/performance.md), and a run that fails takes no other with it.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Any

from budgetnet.definition import Experiment
from budgetnet.environment import usable_cores
from budgetnet.progress import ConsoleProgress, PipeProgress
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


def _run_in_workers(jobs: Sequence[Job], options: Options, workers: int, progress: ConsoleProgress) -> list[Outcome]:
    options = replace(options, settings=replace(options.settings, threads=1))
    waiting = [*reversed(range(len(jobs)))]
    outcomes: dict[int, Outcome] = {}
    crew: dict[Any, tuple[Any, int]] = {}  # connection -> (process, the job it has)
    try:
        while len(outcomes) < len(jobs):
            while waiting and len(crew) < workers:
                connection, process = _hire(options)
                crew[connection] = (process, waiting.pop())
                connection.send(jobs[crew[connection][1]])
            ready: list[Any] = wait([*crew])
            for connection in ready:
                process, index = crew[connection]
                try:
                    kind, content = connection.recv()
                except (EOFError, OSError):
                    outcomes[index] = _bury(jobs[index], progress)
                    del crew[connection]
                    continue
                if kind != "outcome":
                    getattr(progress, kind)(*content)
                    continue
                outcomes[index] = content
                if waiting:
                    crew[connection] = (process, waiting.pop())
                    connection.send(jobs[crew[connection][1]])
                else:
                    del crew[connection]
                    connection.close()  # which ends the worker
    finally:
        for process, _ in crew.values():
            process.terminate()
    return [outcomes[index] for index in range(len(jobs))]


def _hire(options: Options) -> tuple[Any, Any]:
    """A new worker on a pipe of its own, so that one that is killed can leave no lock behind that others wait for.

    It ignores SIGINT from its first moment on: a terminal sends Ctrl-C to everyone, and the parent decides.
    """
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_work, args=(its, options), daemon=True)
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        process.start()
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
    its.close()
    return ours, process


def _work(connection: Any, options: Options) -> None:
    """A worker's life: receive a job, run it, send the outcome, until the pipe is closed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(options.settings.threads)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(("outcome", _portable(_run_here(job, options, PipeProgress(connection)))))


def _portable(outcome: Outcome) -> Outcome:
    """The outcome as it can travel: a traceback becomes a note, an error that cannot be pickled a RuntimeError with its words."""
    if isinstance(outcome, Failure):
        outcome.error.add_note("".join(traceback.format_exception(outcome.error)))
        try:
            pickle.loads(pickle.dumps(outcome))
        except Exception:
            return Failure(outcome.job, RuntimeError(f"{type(outcome.error).__name__}: {outcome.error}"))
    return outcome


def _end_with_parent() -> None:
    """A worker must not outlive a parent that was killed: it would hold its run directory and go on unseen."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _bury(job: Job, progress: ConsoleProgress) -> Failure:
    error = WorkerDied("its worker process ended without a word (killed, or out of memory); the same command resumes it")
    progress.finish(job.name, f"failed: {error}")
    return Failure(job, error)
