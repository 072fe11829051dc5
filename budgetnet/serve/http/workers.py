"""Several processes that serve on the same sockets; one that dies is replaced, and all end together.

The parent serves nothing itself. On several GPUs each process sees one of them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from budgetnet.dotted_names import allow_dotted_names, dotted_names
from budgetnet.inference.errors import InferenceError
from budgetnet.serve.models import Offer
from budgetnet.serve.settings import Settings

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # as metrics.py has it, which must not be imported before this is set
VISIBLE = "CUDA_VISIBLE_DEVICES"
HASTY, PATIENCE = 10.0, 3  # a worker that dies within so many seconds is replaced so many times in a row
PAUSE = 0.2  # seconds between looks at the workers
LEEWAY = 5.0  # seconds beyond the grace before a worker is killed

Say = Callable[[str], None]


class WorkersError(Exception):
    """The workers cannot be kept alive."""


@dataclass
class Worker:
    process: Any
    connection: Connection
    number: int
    since: float
    ready: bool = False


class Workers:
    """``count`` processes; with ``gpus`` each sees one."""

    def __init__(self, offers: Sequence[Offer], settings: Settings, sockets: list[socket.socket], count: int, gpus: Sequence[str]) -> None:
        self._offers = pickle.dumps(tuple(offers))  # read in the worker, once it can import what they are made of
        self._settings, self._sockets, self._gpus = settings, sockets, gpus
        self._count = count
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[Worker] = []
        self._ending: float | None = None
        self._hasty = 0

    def run(self, ready: Callable[[], None], say: Say) -> None:
        """Returns once all have ended after a signal. Raises InferenceError or WorkersError where they cannot start or stay."""
        with _shared_metrics(), self._signals():
            try:
                self._workers = [self._hire(number) for number in range(self._count)]
                told = False
                while self._workers:
                    self._listen(say)
                    if not told and self._workers and all(worker.ready for worker in self._workers):
                        told = True
                        ready()
                    self._press()
            finally:
                for worker in self._workers:
                    worker.process.kill()

    def _hire(self, number: int) -> Worker:
        ours, theirs = self._context.Pipe()
        with _environment(VISIBLE, self._gpus[number % len(self._gpus)] if self._gpus else None):
            process = self._context.Process(
                target=_work,
                args=(dotted_names(), self._offers, self._settings, self._sockets, theirs),
                name=f"server-{number}",
                daemon=True,
            )
            process.start()
        theirs.close()
        return Worker(process, ours, number, time.monotonic())

    def _listen(self, say: Say) -> None:
        """What the workers say, and whether they live."""
        found = wait([each for worker in self._workers for each in (worker.connection, worker.process.sentinel)], PAUSE)
        for worker in list(self._workers):
            if worker.connection in found and not worker.ready:
                with contextlib.suppress(EOFError, OSError):
                    said = worker.connection.recv()
                    if said is not None:
                        raise InferenceError(said)
                    worker.ready = True
            if worker.process.sentinel in found:
                self._replace(worker, say)

    def _replace(self, worker: Worker, say: Say) -> None:
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        _forget(worker.process.pid)
        if self._ending is not None:
            return
        self._hasty = self._hasty + 1 if time.monotonic() - worker.since < HASTY else 0
        if self._hasty > PATIENCE:
            raise WorkersError(f"the workers die as soon as they are started, the last with exit status {worker.process.exitcode}")
        say(f"worker {worker.number} died (exit status {worker.process.exitcode}) and is replaced")
        self._workers.append(self._hire(worker.number))

    def _press(self) -> None:
        """Workers that do not end in time are killed."""
        if self._ending is not None and time.monotonic() - self._ending > self._settings.drain + self._settings.grace + LEEWAY:
            for worker in self._workers:
                worker.process.kill()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def end(number: int, frame: FrameType | None) -> None:
            again = self._ending is not None
            if again and number == signal.SIGINT:
                for worker in self._workers:
                    worker.process.kill()
                return
            if not again:
                self._ending = time.monotonic()
                for one in self._sockets:
                    one.close()
                for worker in self._workers:
                    worker.process.terminate()

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _work(
    dotted: dict[str, Path], offers: bytes, settings: Settings, sockets: list[socket.socket], parent: Connection
) -> None:
    """In the new process."""
    allow_dotted_names(dotted)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to everyone, the parent decides
    from budgetnet.serve.http.worker import serve

    threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    try:
        serve(pickle.loads(offers), settings, sockets, lambda: parent.send(None), interrupts=False)
    except InferenceError as error:
        parent.send(str(error))


def _end_with(parent: Connection) -> None:
    """The parent says nothing; its end closes the connection."""
    with contextlib.suppress(EOFError, OSError):
        parent.recv()
    os.kill(os.getpid(), signal.SIGTERM)


def _forget(pid: int) -> None:
    """What a dead worker's gauges say is no longer so."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid, os.environ[SHARED])


@contextlib.contextmanager
def _shared_metrics() -> Iterator[None]:
    """A folder in which the workers' metrics meet."""
    folder = tempfile.mkdtemp(prefix="budgetnet-metrics-")
    try:
        with _environment(SHARED, folder):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """An environment variable for the processes that are started inside; None leaves it as it is."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if value is not None:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
