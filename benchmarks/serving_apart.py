"""Clients work apart, in a process of their own, so that nothing else of a benchmark takes their time."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
from collections.abc import Callable
from typing import Any


class Fallen(Exception):
    """A server that does not answer, or says something wrong; the message is a sentence for the user."""


def serve(connection: Any, work: Callable[..., Any], given: Any) -> None:
    """Answer every tuple with what ``work(given, *tuple)`` returns, or with the sentence of what went wrong."""
    gc.collect()
    gc.freeze()
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            asked = connection.recv()
            gc.disable()
            try:
                answer = True, work(given, *asked)
            except (Fallen, OSError) as reason:
                answer = False, str(reason)
            gc.enable()
            connection.send(answer)


class Apart:
    """The process; as a context manager it ends it. ``work``, ``given``, and what is asked and answered can be pickled."""

    def __init__(self, work: Callable[..., Any], given: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, its = context.Pipe()
        self._process = context.Process(target=serve, args=(its, work, given), daemon=True)
        self._process.start()
        its.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None, "it was started"
        return self._process.pid

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def ask(self, *asked: Any) -> Any:
        """What ``work`` gives. Raises Fallen."""
        self.begin(*asked)
        return self.answer()

    def begin(self, *asked: Any) -> None:
        """Ask, and do something else meanwhile."""
        self._connection.send(asked)

    def done(self, seconds: float) -> bool:
        """Whether the answer is there after so many seconds at most."""
        return bool(self._connection.poll(seconds))

    def answer(self) -> Any:
        """Raises Fallen."""
        try:
            fine, found = self._connection.recv()
        except EOFError:
            raise Fallen("the client's process ended without a word") from None
        if not fine:
            raise Fallen(found)
        return found
