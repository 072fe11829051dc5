"""An entrant's side of a contest: its process makes the contestant, then trains whenever it is told to."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import traceback
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.memory import LoaderWorkers, device_peak_mib, peak_mib


class Unavailable(Exception):
    """A contestant cannot take part on this machine; the message says why and what would help."""


@dataclass(frozen=True)
class Stretch:
    """Training from ``began`` to ``ended``, in seconds of ``time.perf_counter``, on ``images`` in all."""

    images: int
    began: float
    ended: float

    @property
    def speed(self) -> float:
        """Images per second."""
        return self.images / (self.ended - self.began)


class Contestant(Protocol):
    """``parameters``: the trainable ones of its network. ``description``: how it trains, in a few words."""

    parameters: int
    description: str

    def train(self, images: int) -> Stretch:
        """Train once over the first ``images`` images of the training set."""


@dataclass(frozen=True)
class Lap:
    """The answer of a process: its training, and its peak memory so far in MiB, on the device where it uses one."""

    trained: Stretch
    peak_mib: float
    device_mib: float | None


def serve(connection: Any, factory: str, arguments: dict[str, Any], environment: dict[str, str]) -> None:
    """The life of an entrant's process: make the contestant, train on demand, end when the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to everyone, and the parent decides
    os.environ.update(environment)
    multiprocessing.set_start_method(None, force=True)  # loader workers as in a program of one's own, not spawned as this process was
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        try:
            module, _, name = factory.partition(":")
            contestant: Contestant = getattr(importlib.import_module(module), name)(**arguments)
            connection.send(("ready", (contestant.description, contestant.parameters)))
            _train_on_demand(connection, contestant)
        except Unavailable as error:
            connection.send(("failed", str(error)))
        except Exception as error:
            traceback.print_exception(error)
            connection.send(("failed", f"{type(error).__name__}: {error}"))


def _train_on_demand(connection: Any, contestant: Contestant) -> None:
    workers = LoaderWorkers()
    while True:
        try:
            images, watch = connection.recv()
        except EOFError:
            return
        with workers.watched() if watch else contextlib.nullcontext():
            trained = contestant.train(images)
        connection.send(("lap", Lap(trained, peak_mib() + workers.peak_mib, device_peak_mib())))
