"""Alternate measurements: every contestant has one turn a round, and ratios are taken within a round.

A shared machine changes its speed from minute to minute. Two turns next to each other see the same machine.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import re
import resource
import signal
import statistics
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

PATIENCE = 900.0  # seconds for an answer: some contestants compile at their first call
GRACE = 10.0  # seconds that a process has to end by itself

Result = TypeVar("Result")


class Unavailable(Exception):
    """A contestant cannot take part, or no longer; the message is a sentence for the user."""


class Spread(NamedTuple):
    """Median, minimum and maximum."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Return the spread of the ratios of two contestants, round by round."""
    return spread([one / other for one, other in zip(above, below, strict=True)])


def say(line: str) -> None:
    print(line, flush=True)


def alternate(
    turns: Mapping[str, Callable[[], Result]], rounds: int, report: Callable[[str], None] = say
) -> tuple[dict[str, list[Result]], dict[str, str]]:
    """Return the results of every contestant by round, and why contestants are missing.

    Every contestant warms up in a turn that does not count. Each round begins with another contestant, so that none
    always follows the same one. A contestant that raises Unavailable is left out, with its earlier results.
    """
    results: dict[str, list[Result]] = {name: [] for name in turns}
    left_out: dict[str, str] = {}
    for number in range(rounds + 1):
        first = number % max(1, len(results))
        for name in [*results][first:] + [*results][:first]:
            try:
                result = turns[name]()
            except Unavailable as reason:
                left_out[name] = str(reason)
                del results[name]
                report(f"left out: {name}: {reason}")
                continue
            if number:
                results[name].append(result)
        report(f"round {number} of {rounds}" if number else "warm")
    return results, left_out


class Worker:
    """An object in a process of its own, whose methods are called by name.

    Keras fixes its backend per process, and peak memory is a process's. ``factory``, as 'module:callable', makes the
    object of ``arguments`` at the first call, after ``environment`` is set. ``needs`` are modules that it imports.
    """

    def __init__(
        self,
        factory: str,
        arguments: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
        needs: Sequence[str] = (),
    ) -> None:
        self._made_of = (factory, dict(arguments), dict(environment or {}))
        self._needs = needs
        self._process: Any = None
        self._connection: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self, method: str, *arguments: Any) -> None:
        """Start a call. Raises Unavailable."""
        if self._process is None:
            self._start()
        with contextlib.suppress(OSError):  # a process that died is reported by result()
            self._connection.send((method, arguments))

    def result(self) -> Any:
        """Wait for the result of the call. Raises Unavailable, also for an exception in the process."""
        if not self._connection.poll(PATIENCE):
            self.end()
            raise Unavailable(f"no answer within {PATIENCE:.0f} s")
        try:
            fine, found = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(GRACE)
            raise Unavailable(f"its process ended with exit code {self._process.exitcode}") from None
        if not fine:
            self.end()
            raise Unavailable(found)
        return found

    def call(self, method: str, *arguments: Any) -> Any:
        """Raises Unavailable."""
        self.begin(method, *arguments)
        return self.result()

    def peak_mib(self) -> float:
        """Return the most memory that the process has had resident, in MiB."""
        return float(self.call("peak_mib"))

    def end(self) -> None:
        if self._process is None:
            return
        self._connection.close()  # on which the process ends
        self._process.join(GRACE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _start(self) -> None:
        missing = [name for name in self._needs if importlib.util.find_spec(name) is None]
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)}; pip install --editable '.[bench]'")
        context = multiprocessing.get_context("spawn")
        self._connection, its = context.Pipe()
        # no daemon: those may not have children, and data loaders have workers
        self._process = context.Process(target=_serve, args=(its, *self._made_of))
        self._process.start()
        its.close()


def _serve(connection: Any, factory: str, arguments: dict[str, Any], environment: dict[str, str]) -> None:
    """Make the object and call its methods until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    os.environ.update(environment)
    multiprocessing.set_start_method(None, force=True)  # data loaders start their workers as in any other program
    with contextlib.suppress(EOFError, OSError):  # the parent has closed the pipe
        try:
            module, _, name = factory.partition(":")
            made = getattr(importlib.import_module(module), name)(**arguments)
            while True:
                method, given = connection.recv()
                connection.send((True, _peak_mib() if method == "peak_mib" else getattr(made, method)(*given)))
        except (EOFError, BrokenPipeError):
            raise
        except Unavailable as reason:
            connection.send((False, str(reason)))
        except Exception as error:
            traceback.print_exception(error)
            connection.send((False, f"{type(error).__name__}: {error}"))


def _peak_mib() -> float:
    """On Linux from /proc: getrusage counts what the parent had before this program started."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
        if found:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
