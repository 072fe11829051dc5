"""Worker processes: each runs one job at a time, all of them share the machine's cores."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import threading
import traceback
from collections.abc import Generator
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from typing import Any

from budgetnet.dotted_names import allow_dotted_names, dotted_names
from budgetnet.environment import usable_cores
from budgetnet.jobs import processes
from budgetnet.jobs.job import Failure, Job, Outcome, Supply, WorkerDied, run_here
from budgetnet.progress import ConsoleProgress, PipeProgress
from budgetnet.run import Options


@dataclass
class _Worker:
    connection: Any
    process: Any
    threads: Any  # shared with it: how many threads it may use now
    key: Any = None
    job: Job | None = None


def run_in_workers(supply: Supply, options: Options, workers: int, progress: ConsoleProgress) -> Generator[tuple[Any, Outcome]]:
    """Run what ``supply`` gives in up to ``workers`` processes; outcomes as they come. Closing the generator ends the processes.

    Cores that are free because there are fewer jobs than workers go to those that can use them at once without computing
    anything else than before, which the C kernels can.
    """
    options = replace(options, settings=replace(options.settings, threads=max(1, usable_cores() // workers)))
    busy: list[_Worker] = []
    idle: list[_Worker] = []
    try:
        while True:
            while len(busy) < workers and (given := supply()) is not None:
                worker = idle.pop() if idle else _hire(options)
                worker.key, worker.job = given
                busy.append(worker)
                with contextlib.suppress(OSError):  # one that died while it was idle is found below
                    worker.connection.send(worker.job)
            for worker in busy:
                worker.threads.value = max(1, usable_cores() // len(busy))
            if not busy:
                return
            yield from _listen(busy, idle, progress)
    finally:
        for worker in idle:
            worker.connection.close()  # which ends it
        for worker in busy:
            worker.process.terminate()


def _listen(busy: list[_Worker], idle: list[_Worker], progress: ConsoleProgress) -> Generator[tuple[Any, Outcome]]:
    """Return the next messages of the workers; workers that have finished or died are removed from ``busy``."""
    for connection in wait([worker.connection for worker in busy]):
        worker = next(worker for worker in busy if worker.connection is connection)
        assert worker.job is not None
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            busy.remove(worker)
            yield worker.key, _bury(worker.job, progress)
            continue
        if kind != "outcome":
            getattr(progress, kind)(*content)
            continue
        busy.remove(worker)
        idle.append(worker)
        yield worker.key, content


def _hire(options: Options) -> _Worker:
    """A new worker on a pipe of its own, so that one that is killed can leave no lock behind that others wait for."""
    context = processes.context()
    ours, its = context.Pipe()
    threads = RawValue("i", options.settings.threads)
    process = context.Process(target=_work, args=(its, options, dict(os.environ), threads, dotted_names()), daemon=True)
    with processes.interrupts_ignored():
        process.start()
    its.close()
    return _Worker(ours, process, threads)


def _work(connection: Any, options: Options, environment: dict[str, str], threads: Any, dotted: dict[str, Path]) -> None:
    """A worker's life: receive a job, run it, send the outcome, until the pipe is closed."""
    os.environ.clear()  # what it has is the environment of when the server was started
    os.environ.update(environment)
    allow_dotted_names(dotted)
    threading.Thread(target=end_with_parent, daemon=True).start()
    import torch
    from tqdm import tqdm

    from budgetnet.engine.cpu.network import allow_threads

    tqdm.set_lock(threading.RLock())  # its own is a semaphore between processes, which a terminated worker would leave behind
    torch.set_num_threads(options.settings.threads)
    allow_threads(lambda: int(threads.value))
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(("outcome", _portable(run_here(job, options, PipeProgress(connection)))))


def _portable(outcome: Outcome) -> Outcome:
    """The outcome as it can travel: a traceback becomes a note, an error that cannot be pickled a RuntimeError with its words."""
    if isinstance(outcome, Failure):
        outcome.error.add_note("".join(traceback.format_exception(outcome.error)))
        try:
            pickle.loads(pickle.dumps(outcome))
        except Exception:
            return Failure(outcome.job, RuntimeError(f"{type(outcome.error).__name__}: {outcome.error}"))
    return outcome


def end_with_parent() -> None:
    """Wait for the parent process to end, then end this one: a worker must not go on unseen."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _bury(job: Job, progress: ConsoleProgress) -> Failure:
    error = WorkerDied("its worker process ended without a word (killed, or out of memory); the same command resumes it")
    progress.finish(job.name, f"failed: {error}")
    return Failure(job, error)
