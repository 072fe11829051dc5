"""Many runs: in this process one after the other, or on a CPU side by side in one-threaded worker processes.

At these sizes two runs with a thread each finish sooner than one run with two threads after the other
(docs/performance.md), and a run that fails takes no other with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
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
Supply = Callable[[], tuple[Any, Job] | None]  # the next job with a key of its own, or None for nothing now


class WorkerDied(Exception):
    """A worker process ended without a word: killed, or out of memory."""


def workers_for(jobs: int, device: str, asked: int | None) -> int:
    """Worker processes: one a core on a CPU when there is more than one job; on CUDA the runs share the one process."""
    if asked is not None:
        return max(1, min(asked, jobs))
    return 1 if device != "cpu" else max(1, min(jobs, usable_cores()))


def run_all(jobs: Sequence[Job], options: Options, workers: int, progress: ConsoleProgress) -> list[Outcome]:
    """Run every job; outcomes in the order of ``jobs``. KeyboardInterrupt ends all; checkpoints stay and are resumed."""
    waiting = iter(enumerate(jobs))
    with contextlib.closing(run_supplied(lambda: next(waiting, None), options, workers, progress)) as ended:
        outcomes = dict(ended)
    return [outcomes[place] for place in range(len(jobs))]


def run_supplied(supply: Supply, options: Options, workers: int, progress: ConsoleProgress) -> Generator[tuple[Any, Outcome]]:
    """Run what ``supply`` gives and hand every outcome over as it comes, with the key that came with its job.

    ``supply`` is asked whenever a worker is free; when it has nothing and nothing runs any more, this ends. Close the generator
    (``contextlib.closing``) so that workers end when its reader does.
    """
    try:
        if workers > 1:
            yield from _run_in_workers(supply, options, workers, progress)
            return
        while (given := supply()) is not None:
            key, job = given
            yield key, _run_here(job, options, progress)
    finally:
        progress.close()


def _run_here(job: Job, options: Options, progress: Any) -> Outcome:
    try:
        return run(job.experiment, job.seed, options, progress)
    except Exception as error:  # reported by the caller; the next job goes on
        progress.finish(job.name, f"failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
        return Failure(job, error)


def _run_in_workers(supply: Supply, options: Options, workers: int, progress: ConsoleProgress) -> Generator[tuple[Any, Outcome]]:
    options = replace(options, settings=replace(options.settings, threads=1))
    crew: dict[Any, tuple[Any, Any, Job]] = {}  # connection -> (process, the key and the job it has)
    idle: list[tuple[Any, Any]] = []
    try:
        while True:
            while len(crew) < workers and (given := supply()) is not None:
                connection, process = idle.pop() if idle else _hire(options)
                crew[connection] = (process, *given)
                with contextlib.suppress(OSError):  # one that died while it was idle is found below
                    connection.send(given[1])
            if not crew:
                return
            ready: list[Any] = wait([*crew])
            for connection in ready:
                process, key, job = crew[connection]
                try:
                    kind, content = connection.recv()
                except (EOFError, OSError):
                    del crew[connection]
                    yield key, _bury(job, progress)
                    continue
                if kind != "outcome":
                    getattr(progress, kind)(*content)
                    continue
                del crew[connection]
                idle.append((connection, process))
                yield key, content
    finally:
        for connection, _ in idle:
            connection.close()  # which ends the worker
        for process, *_ in crew.values():
            process.terminate()


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
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own is a semaphore between processes, which a terminated worker would leave behind
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
